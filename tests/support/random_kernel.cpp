#include "support/random_kernel.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli::testing {
namespace {

using kir::Access;
using kir::Builder;
using kir::Opcode;
using kir::Role;
using kir::StrideClass;
using kir::Value;

const std::vector<Dtype>& memory_dtypes() {
  static const std::vector<Dtype> dtypes{bool_,   uint8,   uint16,  uint32,  uint64,   int8,     int16,
                                         int32,   int64,   float16, float32, float64,  bfloat16, complex64,
                                         float32, float32, float16, int32,   bfloat16, float32};
  return dtypes;
}

/// Makes one case from a seed.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed * 0x9e3779b97f4a7c15u + 1), builder_(case_.kernel) {
    case_.seed = seed;
  }

  RandomCase run() {
    choose_dims();
    const int inputs = pick(1, 4);
    for (int i = 0; i < inputs; ++i) add_input();
    if (reduces()) {
      make_stages();
    } else {
      make_elementwise();
    }
    builder_.end_block();
    kir::verify(case_.kernel);
    for (size_t a = 0; a < case_.kernel.accesses.size(); ++a) make_buffer(a);
    return std::move(case_);
  }

 private:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int percent) { return pick(1, 100) <= percent; }
  template <typename T>
  const T& one_of(const std::vector<T>& items) {
    return items[static_cast<size_t>(pick(0, static_cast<int>(items.size()) - 1))];
  }
  bool reduces() const { return case_.kernel.has_reduce(); }

  void choose_dims() {
    const int kind = pick(0, 9);  // half of them elementwise
    std::vector<Role>& dims = case_.kernel.dims;
    dims.assign(static_cast<size_t>(pick(kind < 5 ? 0 : 1, 3)), Role::parallel);
    if (kind >= 5) {
      const bool columns = kind >= 8;
      const int reduced = chance(70) ? 1 : pick(2, 3);
      dims.resize(columns ? dims.size() - 1 : std::min<size_t>(dims.size(), 2));
      dims.insert(dims.end(), static_cast<size_t>(reduced), Role::reduce);
      if (columns) dims.push_back(Role::parallel);
    }
    int64_t total = 1;
    for (size_t d = 0; d < dims.size(); ++d) {
      const std::vector<int> sizes{1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100};
      int64_t extent = one_of(sizes);
      if (chance(12)) extent = pick(200, 3000);
      if (chance(3)) extent = 0;
      if (total * extent > 6000) extent = pick(1, 4);
      total *= std::max<int64_t>(extent, 1);
      case_.extents.push_back(extent);
    }
    // Sums are of numbers below 4; each addition in float32 may be off by half a unit in the last place.
    case_.tolerance = 1e-5 + 4e-7 * static_cast<double>(total);
  }

  uint32_t add_access(Access access, bool exact) {
    case_.kernel.accesses.push_back(std::move(access));
    case_.buffers.emplace_back();
    case_.buffers.back().exact = exact;
    return static_cast<uint32_t>(case_.kernel.accesses.size() - 1);
  }

  void add_input() {
    Access access;
    access.kind = Access::Kind::input;
    access.dtype = one_of(memory_dtypes());
    const bool scalar = chance(10);
    for (size_t d = 0; d < case_.kernel.dims.size(); ++d) {
      const bool last = d + 1 == case_.kernel.dims.size();
      StrideClass stride = chance(20) ? StrideClass::zero : StrideClass::any;
      if (last && chance(60)) stride = StrideClass::unit;
      access.strides.push_back(scalar ? StrideClass::zero : stride);
    }
    if (chance(10)) access.dynamic_indices = 1;
    inputs_.push_back(add_access(std::move(access), true));
  }

  /// An output with an element for each point, or for each parallel point.
  uint32_t add_output(Dtype dtype, bool per_element, bool exact) {
    Access access;
    access.kind = Access::Kind::output;
    access.dtype = dtype;
    for (size_t d = 0; d < case_.kernel.dims.size(); ++d) {
      const bool moves = per_element || case_.kernel.dims[d] == Role::parallel;
      const bool unit = d + 1 == case_.kernel.dims.size() && chance(70);
      access.strides.push_back(!moves ? StrideClass::zero : unit ? StrideClass::unit : StrideClass::any);
    }
    return add_access(std::move(access), exact);
  }

  uint32_t add_row(Access::Kind kind, bool exact) {
    Access access;
    access.kind = kind;
    access.dtype = float32;
    for (size_t d = 0; d < case_.kernel.dims.size(); ++d) {
      const bool last = d + 1 == case_.kernel.dims.size();
      const bool moves = case_.kernel.dims[d] == Role::reduce;
      access.strides.push_back(!moves ? StrideClass::zero : last ? StrideClass::unit : StrideClass::any);
    }
    return add_access(std::move(access), exact);
  }

  // Expressions. Values of a block, all exactly defined.

  void begin_block(bool per_element) {
    builder_.begin_block(per_element);
    values_ = points_;
    if (!per_element) return;
    for (uint32_t input : inputs_) values_.push_back(load(input));
    if (!case_.extents.empty() && chance(30)) {
      values_.push_back(builder_.index(pick(0, static_cast<int>(case_.extents.size()) - 1)));
    }
  }

  Value load(uint32_t access) {
    if (case_.kernel.accesses[access].dynamic_indices == 0) return builder_.load(access);
    // Eight positions are always there.
    const Value seven = builder_.constant(int64, 7);
    Value position = case_.extents.empty() ? builder_.constant(int64, 3) : builder_.index(0);
    for (const Value& value : values_) {
      if (!value.is_complex() && kir::type_set(value.type) == kir::integers)
        position = builder_.cast(value, int64);
    }
    const std::vector<Value> positions{builder_.binary(Opcode::bit_and, position, seven)};
    return builder_.load(access, positions);
  }

  Value any_value() { return one_of(values_); }

  Value any_real(Dtype type) {
    const Value value = any_value();
    return builder_.cast(value, type);
  }

  /// The sign of a zero that comes from min or max is not defined; adding 0 makes it positive.
  Value without_negative_zero(Value value) {
    if (kir::type_set(value.type) != kir::floats) return value;
    return builder_.add(value, builder_.constant(value.type, 0));
  }

  void grow() {
    const Value a = any_value();
    if (a.is_complex()) {
      const Value b = builder_.cast(any_value(), complex64);
      switch (pick(0, 4)) {
        case 0:
          return values_.push_back(builder_.add(a, b));
        case 1:
          return values_.push_back(builder_.mul(a, b));
        case 2:
          return values_.push_back(builder_.sub(a, b));
        case 3:
          return values_.push_back(builder_.imag(a));
        default:
          return values_.push_back(builder_.lt(a, b));
      }
    }
    const int kind = pick(0, 9);
    if (kind <= 4) return values_.push_back(random_binary(a));
    if (kind <= 6) return values_.push_back(random_unary(a));
    if (kind == 7) {
      const Value condition = builder_.lt(a, any_real(a.type));
      const Value x = any_value();
      return values_.push_back(builder_.select(condition, x, builder_.cast(any_value(), x.type)));
    }
    if (kind == 8) {
      static const std::vector<Dtype> types{bool_, uint8, uint16, uint32,  uint64,  int8,
                                            int16, int32, int64,  float32, float64, complex64};
      return values_.push_back(builder_.cast(a, one_of(types)));
    }
    values_.push_back(special(a));
  }

  Value random_binary(Value a) {
    static const std::vector<Opcode> operations{
        Opcode::add, Opcode::sub,    Opcode::mul,     Opcode::div,        Opcode::rem,        Opcode::min,
        Opcode::max, Opcode::bit_or, Opcode::bit_and, Opcode::bit_xor,    Opcode::shift_left, Opcode::eq,
        Opcode::ne,  Opcode::lt,     Opcode::le,      Opcode::shift_right};
    const Opcode op = one_of(operations);
    const Value b = chance(20) ? builder_.constant(a.type, pick(0, 5)) : any_real(a.type);
    if (!kir::accepts(op, a.type)) return builder_.add(a, b);
    const Value result = builder_.binary(op, a, b);
    return op == Opcode::min || op == Opcode::max ? without_negative_zero(result) : result;
  }

  Value random_unary(Value a) {
    static const std::vector<Opcode> operations{Opcode::neg,  Opcode::abs,   Opcode::floor, Opcode::ceil,
                                                Opcode::rint, Opcode::trunc, Opcode::sqrt,  Opcode::bit_not};
    const Opcode op = one_of(operations);
    return kir::accepts(op, a.type) ? builder_.unary(op, a) : a;
  }

  Value special(Value a) {
    if (a.type == float32 && chance(30))
      return builder_.round_to(a, chance(50) ? Dtype(float16) : Dtype(bfloat16));
    if (kir::type_set(a.type) != kir::floats) {
      if (a.type.size() == 4) return builder_.bitcast(a, a.type == int32 ? Dtype(uint32) : Dtype(int32));
      return a;
    }
    if (chance(30)) {
      // NaNs differ in bits.
      const Value number = builder_.select(builder_.eq(a, a), a, builder_.constant(a.type, 0));
      return builder_.bitcast(number, a.type == float64 ? Dtype(int64) : Dtype(int32));
    }
    if (chance(30)) return builder_.fma(a, any_real(a.type), any_real(a.type));
    static const std::vector<Opcode> functions{Opcode::exp,   Opcode::expm1, Opcode::log,     Opcode::log2,
                                               Opcode::log1p, Opcode::sin,   Opcode::cos,     Opcode::tanh,
                                               Opcode::erf,   Opcode::atan,  Opcode::sigmoid, Opcode::rsqrt,
                                               Opcode::asin,  Opcode::sinh};
    return builder_.math(one_of(functions), a);
  }

  void store_some(bool per_element, int count) {
    for (int i = 0; i < count; ++i) {
      const Value value = i == 0 ? values_.back() : any_value();
      Dtype dtype = one_of(memory_dtypes());
      if (chance(70)) dtype = value.type;
      builder_.store(add_output(dtype, per_element, true), value);
    }
  }

  void make_elementwise() {
    begin_block(true);
    const int size = pick(1, chance(20) ? 30 : 8);
    for (int i = 0; i < size; ++i) grow();
    store_some(true, pick(1, 3));
  }

  /// A number below 4 from any value, so that sums neither overflow nor lose everything.
  Value bounded(Value value) {
    const Value x = builder_.cast(value, chance(15) ? Dtype(float64) : Dtype(float32));
    const Value small = builder_.lt(builder_.abs(x), builder_.constant(x.type, 4));
    return builder_.select(small, x, builder_.constant(x.type, 1));
  }

  Value near_one(Value value) {
    const Value x = builder_.cast(value, float32);
    const Value low = builder_.lt(builder_.constant(float32, 0.9), x);
    const Value high = builder_.lt(x, builder_.constant(float32, 1.1));
    return builder_.select(builder_.binary(Opcode::bit_and, low, high), x, builder_.constant(float32, 1));
  }

  void make_stages() {
    const int stages = pick(1, 3);
    // Something that a stage leaves for the next: where it was stored.
    int left_over = -1;
    bool left_over_exact = true;
    Value inexact;  // the mean of an earlier stage
    bool has_inexact = false;
    for (int stage = 0; stage < stages; ++stage) {
      begin_block(true);
      if (left_over >= 0 && left_over_exact) values_.push_back(load(static_cast<uint32_t>(left_over)));
      for (int i = pick(0, 5); i > 0; --i) grow();
      const Value shifted =
          has_inexact ? builder_.sub(builder_.cast(bounded(any_value()), float32), inexact) : Value{};
      left_over = -1;
      if (chance(60)) {
        // Stored for later stages, in a row of scratch or in an output.
        left_over_exact = !has_inexact || chance(50);
        const Value stored = left_over_exact ? builder_.cast(any_value(), float32) : shifted;
        const bool scratch = case_.kernel.reduces_innermost() && chance(50);
        const uint32_t access = scratch ? add_row(Access::Kind::scratch, left_over_exact)
                                        : add_output(float32, true, left_over_exact);
        builder_.store(access, stored);
        left_over = static_cast<int>(access);
      }
      if (case_.kernel.reduces_innermost() && chance(25)) add_to_row(shifted, has_inexact && chance(50));
      const bool sums = chance(50);
      const Value summed = !sums                       ? Value{}
                           : has_inexact && chance(50) ? builder_.reduce(Opcode::reduce_sum, shifted)
                           : chance(80) ? builder_.reduce(Opcode::reduce_sum, bounded(any_value()))
                                        : builder_.reduce(Opcode::reduce_prod, near_one(any_value()));
      const Value exact = reduce_exactly();
      begin_block(false);
      points_.push_back(without_negative_zero(exact));
      values_ = points_;
      for (int i = pick(0, 3); i > 0; --i) grow();
      store_some(false, 1);
      if (sums) {
        // The sum itself, and a mean that keeps later sums small.
        builder_.store(add_output(chance(50) ? Dtype(float32) : Dtype(float16), false, false), summed);
        inexact = builder_.mul(builder_.cast(summed, float32), builder_.constant(float32, 0x1p-12));
        has_inexact = true;
      }
    }
    if (has_inexact && chance(70)) {
      begin_block(true);
      const Value x = builder_.cast(bounded(any_value()), float32);
      builder_.store(add_output(chance(50) ? Dtype(float32) : Dtype(bfloat16), true, false),
                     builder_.sub(x, inexact));
    }
  }

  /// Adds something to a row of sums; tiers take the points in the same order.
  void add_to_row(Value inexact, bool is_inexact) {
    const Value added = is_inexact ? inexact : builder_.cast(bounded(any_value()), float32);
    const uint32_t access = add_row(Access::Kind::sums, !is_inexact);
    builder_.store(access, builder_.add(builder_.load(access), added));
  }

  /// A reduction whose result is exactly defined, but for the sign of a zero.
  Value reduce_exactly() {
    const Value value = any_value();
    const Value x = value.is_complex() ? builder_.real(value) : value;
    const bool single = std::count(case_.kernel.dims.begin(), case_.kernel.dims.end(), Role::reduce) == 1;
    switch (pick(0, single ? 7 : 5)) {
      case 0:
        return builder_.reduce(Opcode::reduce_min, x);
      case 1:
        return builder_.reduce(Opcode::reduce_max, x);
      case 2:
        return builder_.reduce(Opcode::reduce_sum,
                               builder_.cast(x, chance(50) ? Dtype(int32) : Dtype(int64)));
      case 3:
        return builder_.reduce(Opcode::reduce_prod,
                               builder_.cast(x, chance(50) ? Dtype(uint8) : Dtype(int32)));
      case 4:
        return builder_.reduce(Opcode::reduce_and, builder_.cast(x, bool_));
      case 5:
        return builder_.reduce(Opcode::reduce_or,
                               builder_.cast(x, chance(50) ? Dtype(bool_) : Dtype(uint16)));
      case 6:
        return builder_.reduce(Opcode::reduce_argmin, x);
      default:
        return builder_.reduce(Opcode::reduce_argmax, x);
    }
  }

  // Data.

  void make_buffer(size_t number) {
    const Access& access = case_.kernel.accesses[number];
    const size_t rank = case_.extents.size();
    std::vector<int64_t> strides(rank, 0);
    const bool dense = access.kind != Access::Kind::input;
    // From the innermost dimension out, each stride clears what lies within; inputs may do as they like.
    int64_t span = 1;
    for (size_t d = rank; d-- > 0;) {
      if (access.strides[d] == StrideClass::zero) continue;
      int64_t stride = span;
      if (access.strides[d] == StrideClass::any) {
        const bool sums = access.kind == Access::Kind::sums;
        if (!sums && chance(25)) stride += pick(0, 3);
        if (!dense && chance(15)) stride = pick(0, 3);
        if (!access.is_row() && chance(15)) stride = -stride;
      } else {
        stride = 1;
      }
      strides[d] = stride;
      span = std::max(span, span + std::abs(stride) * std::max<int64_t>(case_.extents[d] - 1, 0));
      if (dense) span = std::max(span, std::abs(stride) * std::max<int64_t>(case_.extents[d], 1));
    }
    case_.strides.insert(case_.strides.end(), strides.begin(), strides.end());
    const int64_t dynamic_stride = span;
    if (access.dynamic_indices > 0) {
      case_.strides.push_back(dynamic_stride);
      span *= 8;
    }
    int64_t below = 0;
    for (size_t d = 0; d < rank; ++d) {
      if (strides[d] < 0) below -= strides[d] * std::max<int64_t>(case_.extents[d] - 1, 0);
    }
    const auto size = static_cast<size_t>(access.dtype.size());
    RandomCase::Buffer& buffer = case_.buffers[number];
    if (access.kind == Access::Kind::scratch) {
      buffer.first = case_.scratch_size;
      case_.scratch_size += (static_cast<size_t>(span) * size + 63) / 64 * 64;
      return;
    }
    // A unit stride inside of larger ones of any sign may reach further than `span`; leave room.
    const auto room = static_cast<size_t>(span + below + 64);
    buffer.bytes.resize((room + static_cast<size_t>(below)) * size);
    buffer.first = static_cast<size_t>(below) * size;
    fill(buffer.bytes, access.dtype);
  }

  void fill(std::vector<std::byte>& bytes, Dtype dtype) {
    const Dtype part = dtype == complex64 ? Dtype(float32) : dtype;
    const size_t count = bytes.size() / part.size();
    const int style = pick(0, 2);
    dispatch_dtype(part, [&]<typename T>(std::type_identity<T>) {
      if constexpr (!std::is_same_v<T, complex64_t>) {
        for (size_t i = 0; i < count; ++i) {
          const T value = random_element<T>(style);
          std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
        }
      }
    });
  }

  template <typename T>
  T random_element(int style) {
    const auto word = static_cast<uint64_t>(random_());
    if constexpr (std::is_same_v<T, bool>) {
      return (word & 1) != 0;
    } else if constexpr (std::is_integral_v<T>) {
      if (style == 0) return static_cast<T>(word);
      if (word % 16 == 0) return std::numeric_limits<T>::lowest();
      if (word % 16 == 1) return std::numeric_limits<T>::max();
      return static_cast<T>(static_cast<int64_t>(word >> 32) % 20 - (std::is_signed_v<T> ? 10 : 0));
    } else {
      constexpr double infinity = std::numeric_limits<double>::infinity();
      static const double specials[] = {0.0,  -0.0,  1.0,   -1.0,  infinity, -infinity, std::nan(""), 0.5,
                                        1e30, 1e-30, 1e-40, 65504, 2.5,      -3.5,      1e10,         3e9};
      if (style == 0 && word % 4 == 0) {
        std::array<std::byte, sizeof(T)> bytes;
        std::memcpy(bytes.data(), &word, sizeof(T));
        return std::bit_cast<T>(bytes);
      }
      if (style <= 1 && word % 8 == 1) return static_cast<T>(specials[(word >> 8) % 16]);
      return static_cast<T>(std::normal_distribution<double>(0, 2)(random_));
    }
  }

  std::mt19937_64 random_;
  RandomCase case_;
  Builder builder_;
  std::vector<uint32_t> inputs_;
  std::vector<Value> values_;  ///< that an expression of the current block may use
  std::vector<Value> points_;  ///< of earlier blocks, visible in all later ones
};

double element_value(const std::byte* bytes, Dtype dtype) {
  return dispatch_dtype(dtype, [&]<typename T>(std::type_identity<T>) -> double {
    if constexpr (std::is_same_v<T, complex64_t>) {
      return 0;
    } else {
      T value;
      std::memcpy(&value, bytes, sizeof(T));
      return static_cast<double>(value);
    }
  });
}

bool agree(const std::byte* a, const std::byte* b, Dtype dtype, bool exact, double tolerance) {
  if (std::memcmp(a, b, dtype.size()) == 0) return true;
  if (dtype != float16 && !issubdtype(dtype, floating)) return false;
  const double x = element_value(a, dtype);
  const double y = element_value(b, dtype);
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  if (exact || std::isinf(x) || std::isinf(y)) return false;
  const double relative = dtype == bfloat16 ? 0.02 : dtype == float16 ? 0.005 : tolerance;
  return std::abs(x - y) <= tolerance + relative * std::max(std::abs(x), std::abs(y));
}

}  // namespace

int64_t RandomCase::outer() const {
  int64_t points = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    const bool vector = d + 1 == extents.size();
    if (kernel.dims[d] == Role::parallel && !vector) points *= extents[d];
  }
  return points;
}

int64_t RandomCase::inner() const {
  return kernel.dims.empty() || kernel.dims.back() == Role::reduce ? 1 : extents.back();
}

RandomCase make_random_case(uint64_t seed) {
  return Generator(seed).run();
}

std::vector<std::vector<std::byte>> run_case(const RandomCase& random, const CaseRunner& runner) {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<std::byte*> pointers;
  for (const RandomCase::Buffer& buffer : random.buffers) bytes.push_back(buffer.bytes);
  for (size_t a = 0; a < bytes.size(); ++a) {
    const size_t first = random.buffers[a].first;
    const bool scratch = random.kernel.accesses[a].kind == Access::Kind::scratch;
    // NOLINTNEXTLINE: the interface passes scratch offsets as pointers.
    pointers.push_back(scratch ? reinterpret_cast<std::byte*>(first) : bytes[a].data() + first);
  }
  std::vector<std::byte> scratch(random.scratch_size + 64);
  const size_t misaligned = reinterpret_cast<uintptr_t>(scratch.data()) % 64;
  std::byte* aligned = random.scratch_size == 0 ? nullptr : scratch.data() + (64 - misaligned);

  const kir::KernelArguments arguments{random.extents.data(), pointers.data(), random.strides.data()};
  std::mt19937_64 cuts(random.seed);
  const auto cut = [&](int64_t n) {
    return cuts() % 2 == 0 ? n : std::uniform_int_distribution<int64_t>(0, n)(cuts);
  };
  const int64_t outer = cut(random.outer());
  const int64_t inner = cut(random.inner());
  for (const auto& [outer_begin, outer_end] :
       {std::pair{int64_t{0}, outer}, std::pair{outer, random.outer()}}) {
    for (const auto& [inner_begin, inner_end] :
         {std::pair{int64_t{0}, inner}, std::pair{inner, random.inner()}}) {
      if (outer_begin == outer_end || inner_begin == inner_end) continue;
      runner(arguments, aligned, outer_begin, outer_end, inner_begin, inner_end);
    }
  }
  return bytes;
}

std::string difference(const RandomCase& random, const std::vector<std::vector<std::byte>>& expected,
                       const std::vector<std::vector<std::byte>>& actual) {
  for (size_t a = 0; a < expected.size(); ++a) {
    const bool is_complex = random.kernel.accesses[a].dtype == complex64;
    const Dtype dtype = is_complex ? Dtype(float32) : random.kernel.accesses[a].dtype;
    for (size_t i = 0; i + dtype.size() <= expected[a].size(); i += dtype.size()) {
      const std::byte* x = expected[a].data() + i;
      const std::byte* y = actual[a].data() + i;
      if (agree(x, y, dtype, random.buffers[a].exact, random.tolerance)) continue;
      std::string extents;
      for (int64_t extent : random.extents) extents += fmt::format(" {}", extent);
      return fmt::format(
          "seed {}, extents{}, a{} ({}) at byte {} of {} (point 0 at {}): {} expected, {} found\n{}",
          random.seed, extents, a, dtype_name(dtype), i, expected[a].size(), random.buffers[a].first,
          element_value(x, dtype), element_value(y, dtype), kir::to_text(random.kernel));
    }
  }
  return {};
}

}  // namespace lazuli::testing
