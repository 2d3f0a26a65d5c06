#include <lazuli/ops/stored_operations.h>

#include <mutex>
#include <string>
#include <unordered_set>

#include <lazuli/ops/cumulative_operations.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/scatter_operation.h>
#include <lazuli/ops/sort_operations.h>
#include <lazuli/ops/threefry.h>

// Views, updates, sorting, cumulative operations and sources, read from files.

namespace lazuli {

bool same_extents(const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return false;
  for (size_t d = 0; d < a.size(); ++d) {
    if (a[d].hint() != b[d].hint()) return false;
  }
  return true;
}

bool extents_broadcast(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  const size_t lead = to.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d) {
    if (from[d].hint() != 1 && from[d].hint() != to[lead + d].hint()) return false;
  }
  return true;
}

bool is_real_floating(Dtype dtype) {
  return issubdtype(dtype, floating);
}

namespace {

constexpr int most_dimensions = 64;

/// A map's coordinates come from a space of shape `from`; they may lie within `to`.
struct MapSpaces {
  const Shape& from;
  const Shape& to;
};

IndexMap read_map(AttributeReader& reader, const MapSpaces& spaces, std::vector<bool>* has_dynamic) {
  const int rank = reader.integer("rank", 0, most_dimensions);
  reader.require(static_cast<size_t>(rank) == spaces.to.size(), "index maps");
  IndexMap map;
  for (int d = 0; d < rank; ++d) {
    IndexTerm term;
    term.dim = reader.integer("dim", -1, static_cast<int>(spaces.from.size()) - 1);
    term.scale = reader.extent("scale");
    term.offset = reader.extent("offset");
    term.dynamic = reader.integer("dynamic", -1, has_dynamic == nullptr ? -1 : most_dimensions);
    map.push_back(term);
  }
  return map;
}

/// Throws unless all coordinates are there. Dynamic indices are clamped to their limits.
void check_map(const AttributeReader& reader, const IndexMap& map, const MapSpaces& spaces,
               const std::vector<DynamicIndex>& dynamic) {
  for (const Dim extent : spaces.from) {
    if (extent.hint() == 0) return;
  }
  for (size_t d = 0; d < map.size(); ++d) {
    const IndexTerm& term = map[d];
    int64_t low = term.offset.hint();
    int64_t high = low;
    if (term.dim >= 0) {
      const int64_t last = int64_t{spaces.from[static_cast<size_t>(term.dim)].hint()} - 1;
      const int64_t span = int64_t{term.scale.hint()} * last;
      (span < 0 ? low : high) += span;
    }
    if (term.dynamic >= 0) {
      reader.require(static_cast<size_t>(term.dynamic) < dynamic.size(), "index maps");
      high += dynamic[static_cast<size_t>(term.dynamic)].limit.hint();
    }
    reader.require(low >= 0 && high < spaces.to[d].hint(), "index maps");
  }
}

/// The dynamic indices of an operation; they are operands from `first_operand` on.
std::vector<DynamicIndex> read_dynamic(AttributeReader& reader, const Shape& from, int first_operand) {
  const int count = reader.integer("dynamic_indices", 0, most_dimensions);
  const int operands = static_cast<int>(reader.inputs().size());
  std::vector<DynamicIndex> dynamic;
  for (int i = 0; i < count; ++i) {
    DynamicIndex index;
    index.operand = reader.integer("operand", first_operand, operands - 1);
    const ArraySpec& operand = reader.inputs()[static_cast<size_t>(index.operand)];
    reader.require(issubdtype(operand.dtype, integer), "indices' dtypes");
    const MapSpaces spaces{from, operand.shape};
    index.map = read_map(reader, spaces, nullptr);
    check_map(reader, index.map, spaces, {});
    index.extent = reader.extent("extent");
    index.limit = reader.extent("limit");
    reader.require(index.limit.hint() >= 0 || element_count(from) == 0, "indices' limits");
    dynamic.push_back(std::move(index));
  }
  return dynamic;
}

struct Indexing {
  IndexMap map;
  std::vector<DynamicIndex> dynamic;
};

Indexing read_indexing(AttributeReader& reader, const MapSpaces& spaces, int first_operand) {
  std::vector<bool> has_dynamic;
  Indexing indexing;
  indexing.map = read_map(reader, spaces, &has_dynamic);
  indexing.dynamic = read_dynamic(reader, spaces.from, first_operand);
  check_map(reader, indexing.map, spaces, indexing.dynamic);
  return indexing;
}

/// Names are views of texts that stay.
std::string_view kept_name(AttributeReader& reader) {
  static std::mutex mutex;
  static std::unordered_set<std::string> names;
  reader.require(reader.name().size() <= 64, "names");
  const std::lock_guard lock(mutex);
  return *names.emplace(reader.name()).first;
}

const OperationRegistration<IndexedView> view_registration(
    "view", 1, any_number, [](AttributeReader& r) -> Ref<const Operation> {
      Shape shape = r.shape("shape");
      Indexing indexing = read_indexing(r, {shape, r.inputs()[0].shape}, 1);
      return make_ref<IndexedView>(kept_name(r), std::move(shape), std::move(indexing.map),
                                   std::move(indexing.dynamic));
    });

const OperationRegistration<IndexedUpdate> update_registration(
    "update", 2, any_number, [](AttributeReader& r) -> Ref<const Operation> {
      r.require(r.inputs()[0].dtype == r.inputs()[1].dtype, "dtypes");
      Indexing indexing = read_indexing(r, {r.inputs()[1].shape, r.inputs()[0].shape}, 2);
      return make_ref<IndexedUpdate>(kept_name(r), std::move(indexing.map), std::move(indexing.dynamic));
    });

const OperationRegistration<ScatterOperation> scatter_registration(
    "scatter", 2, any_number, [](AttributeReader& r) -> Ref<const Operation> {
      r.require(r.inputs()[0].dtype == r.inputs()[1].dtype, "dtypes");
      Indexing indexing = read_indexing(r, {r.inputs()[1].shape, r.inputs()[0].shape}, 2);
      for (const ScatterMode mode :
           {ScatterMode::add, ScatterMode::prod, ScatterMode::max, ScatterMode::min}) {
        Ref<const Operation> made = make_ref<ScatterOperation>(mode, indexing.map, indexing.dynamic);
        if (made->name() == r.name()) return made;
      }
      throw std::runtime_error("there is no such mode");
    });

const OperationRegistration<SortOperation> sort_registration(
    "sort", 1, [](AttributeReader& r) -> Ref<const Operation> {
      r.require(!r.inputs()[0].shape.empty(), "shapes");
      return make_ref<SortOperation>(r.name() == "argsort");
    });

const OperationRegistration<SearchSortedOperation> search_registration(
    "searchsorted", 2, [](AttributeReader& r) -> Ref<const Operation> {
      const ArraySpec& rows = r.inputs()[0];
      const ArraySpec& values = r.inputs()[1];
      r.require(rows.dtype == values.dtype, "dtypes");
      r.require(rows.shape.size() == 2 && values.shape.size() == 2 &&
                    rows.shape[0].hint() == values.shape[0].hint(),
                "shapes");
      return make_ref<SearchSortedOperation>(r.boolean("or_equal"));
    });

const OperationRegistration<ScanOperation> scan_registration(
    "scan", 1, [](AttributeReader& r) -> Ref<const Operation> {
      using templates::ScanKind;
      const ArraySpec& input = r.inputs()[0];
      const int axis = r.integer("axis", -static_cast<int>(input.shape.size()), -1);
      const bool reverse = r.boolean("reverse");
      const bool inclusive = r.boolean("inclusive");
      for (const ScanKind kind :
           {ScanKind::sum, ScanKind::prod, ScanKind::max, ScanKind::min, ScanKind::log_sum_exp}) {
        Ref<const Operation> made = make_ref<ScanOperation>(kind, axis, reverse, inclusive);
        if (made->name() != r.name()) continue;
        const bool orders = kind == ScanKind::max || kind == ScanKind::min;
        r.require(!(orders && input.dtype == complex64), "dtypes");
        r.require(kind != ScanKind::log_sum_exp || is_real_floating(input.dtype), "dtypes");
        return made;
      }
      throw std::runtime_error("there is no such kind");
    });

const OperationRegistration<LinearRecurrence> recurrence_registration(
    "linear_recurrence", 2, [](AttributeReader& r) -> Ref<const Operation> {
      const ArraySpec& a = r.inputs()[0];
      const ArraySpec& b = r.inputs()[1];
      r.require(a.dtype == b.dtype && issubdtype(a.dtype, inexact), "dtypes");
      r.require(same_extents(a.shape, b.shape), "shapes");
      const int axis = r.integer("axis", -static_cast<int>(a.shape.size()), -1);
      return make_ref<LinearRecurrence>(axis, r.boolean("reverse"));
    });

const OperationRegistration<random::RandomBits> bits_registration(
    "random_bits", 2, [](AttributeReader& r) -> Ref<const Operation> {
      Shape shape = r.shape("shape");
      const int width = r.integer("width", 1, 4);
      r.require(width != 3, "widths");
      const int batch = r.integer("batch_rank", 0, static_cast<int>(shape.size()));
      for (const ArraySpec& key : r.inputs()) {
        r.require(key.dtype == uint32 && extents_broadcast(key.shape, shape), "keys");
      }
      return make_ref<random::RandomBits>(std::move(shape), width, static_cast<size_t>(batch));
    });

const OperationRegistration<ExtentSource> extent_registration(
    "extent", 0, [](AttributeReader& r) -> Ref<const Operation> {
      const Shape factors = r.shape("factors");
      const bool inverted = r.boolean("inverted");
      const Dtype dtype = r.dtype("dtype");
      r.require(dtype != complex64 && dtype != bool_ && (!inverted || is_real_floating(dtype)), "dtypes");
      return make_ref<ExtentSource>(std::vector<Dim>(factors.begin(), factors.end()), inverted, dtype);
    });

}  // namespace

}  // namespace lazuli
