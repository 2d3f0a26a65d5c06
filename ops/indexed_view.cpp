#include <lazuli/ops/indexed_view.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/ops/elementwise_table.h>

namespace lazuli {

void write_map(AttributeWriter& writer, const IndexMap& map) {
  writer.write("rank", map.size());
  for (const IndexTerm& term : map) {
    writer.write("dim", term.dim);
    writer.write("scale", term.scale);
    writer.write("offset", term.offset);
    writer.write("dynamic", term.dynamic);
  }
}

void write_dynamic(AttributeWriter& writer, const std::vector<DynamicIndex>& dynamic) {
  writer.write("dynamic_indices", dynamic.size());
  for (const DynamicIndex& index : dynamic) {
    writer.write("operand", index.operand);
    write_map(writer, index.map);
    writer.write("extent", index.extent);
    writer.write("limit", index.limit);
  }
}

void IndexedView::attributes(AttributeWriter& writer) const {
  writer.write("shape", shape_);
  write_map(writer, map_);
  write_dynamic(writer, dynamic_);
}

void IndexedUpdate::attributes(AttributeWriter& writer) const {
  write_map(writer, map_);
  write_dynamic(writer, dynamic_);
}

array view_of(const array& a, std::string_view name, Shape shape, IndexMap map, StreamOrDevice s) {
  const StreamContext on(s);
  return lazuli::apply(make_ref<IndexedView>(name, std::move(shape), std::move(map)), {a});
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  const size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (!from[i].same_as(Dim(1)) && from[i] != to[lead + i] && from[i] != 1) return false;
  }
  return true;
}

int normalize_axis(int axis, size_t ndim, std::string_view name) {
  const int rank = static_cast<int>(ndim);
  if (axis < -rank || axis >= rank) {
    throw std::invalid_argument("[" + std::string(name) + "] axis " + std::to_string(axis) +
                                " is out of range for an array with " + std::to_string(rank) + " dimensions");
  }
  return axis < 0 ? axis + rank : axis;
}

std::vector<int> normalize_axes(const std::vector<int>& axes, size_t ndim, std::string_view name) {
  std::vector<int> result;
  for (int axis : axes) {
    result.push_back(normalize_axis(axis, ndim, name));
    if (std::find(result.begin(), result.end() - 1, result.back()) != result.end() - 1) {
      throw std::invalid_argument("[" + std::string(name) + "] axis " + std::to_string(axis) +
                                  " occurs twice");
    }
  }
  return result;
}

}  // namespace lazuli
