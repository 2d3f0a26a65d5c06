#include <lazuli/lm/convert/quantizer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

#include <lazuli/compiler/thread_pool.h>

namespace lazuli::lm {
namespace {

constexpr int kLanes = 16;
/// How far a range is narrowed at most, in steps, before codes and line are fitted.
constexpr int kNarrowings = 8;
constexpr float kNarrowest = 0.7f;
constexpr int kRefits = 3;

/// Value = scale * code + bias.
struct Line {
  float scale = 0;
  float bias = 0;
};

/// What rounding a group to the codes of a line leaves, and what the best line for these codes follows from.
struct Rounding {
  double error = 0;
  double codes = 0;     ///< sum of codes
  double squares = 0;   ///< sum of their squares
  double products = 0;  ///< sum of code times value
};

/// The code of a value. Codes are small, so half a unit more and truncation rounds them.
inline std::int32_t code_of(float value, const Line& line, float inverse, float maximum) {
  return static_cast<std::int32_t>(std::min(std::max((value - line.bias) * inverse, 0.0f), maximum) + 0.5f);
}

/// Sums run in lanes of their own, so that they vectorize.
Rounding round_group(std::span<const float> values, const Line& line, float maximum) {
  const float inverse = line.scale == 0 ? 0 : 1 / line.scale;
  std::array<float, kLanes> error{}, products{};
  std::array<std::int32_t, kLanes> codes{}, squares{};
  for (std::size_t i = 0; i < values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      const std::int32_t code = code_of(value, line, inverse, maximum);
      const auto as_float = static_cast<float>(code);
      const float left = value - (line.scale * as_float + line.bias);
      error[lane] += left * left;
      products[lane] += as_float * value;
      codes[lane] += code;
      squares[lane] += code * code;
    }
  }
  Rounding sums;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sums.error += error[lane];
    sums.products += products[lane];
    sums.codes += codes[lane];
    sums.squares += squares[lane];
  }
  return sums;
}

/// As a value is stored in `T`.
template <typename T>
Line as_stored(const Line& line) {
  return {static_cast<float>(static_cast<T>(line.scale)), static_cast<float>(static_cast<T>(line.bias))};
}

/// The line that spans the extremes and has zero among its values, if it lies between them.
Line spanning_line(float low, float high, float maximum) {
  const float step = std::max((high - low) / maximum, 1e-7f);
  const bool from_low = std::abs(low) > std::abs(high);
  const float edge = from_low ? low : high;
  const float signed_step = from_low ? step : -step;
  const float zero = std::nearbyint(edge / signed_step);
  return zero == 0 ? Line{signed_step, 0} : Line{edge / zero, edge};
}

template <typename T>
class LineSearch {
 public:
  LineSearch(std::span<const float> values, float maximum) : values_(values), maximum_(maximum) {
    for (float value : values) sum_ += value;
  }

  Line run() {
    const auto [low, high] = std::minmax_element(values_.begin(), values_.end());
    refine(spanning_line(*low, *high, maximum_));
    for (int i = 0; i <= kNarrowings; ++i) {
      const float keep = 1 - (1 - kNarrowest) * static_cast<float>(i) / kNarrowings;
      refine({keep * (*high - *low) / maximum_, keep * *low});
    }
    return best_;
  }

 private:
  /// Alternates between the codes for a line and the line for these codes (least squares).
  void refine(Line line) {
    for (int i = 0; i <= kRefits; ++i) {
      const Line stored = as_stored<T>(line);
      const Rounding rounding = round_group(values_, stored, maximum_);
      if (rounding.error < best_error_) {
        best_error_ = rounding.error;
        best_ = stored;
      }
      const auto count = static_cast<double>(values_.size());
      const double determinant = rounding.squares * count - rounding.codes * rounding.codes;
      if (determinant < 0.5) return;  // it is whole: all codes are equal
      line.scale = static_cast<float>((rounding.products * count - sum_ * rounding.codes) / determinant);
      line.bias =
          static_cast<float>((rounding.squares * sum_ - rounding.codes * rounding.products) / determinant);
    }
  }

  std::span<const float> values_;
  float maximum_;
  double sum_ = 0;
  Line best_;
  double best_error_ = std::numeric_limits<double>::infinity();
};

/// One row: `codes` must be zero.
template <typename Value, typename Stored>
bool quantize_row(const Value* row, int columns, const Quantization& format, std::uint32_t* codes,
                  Stored* scales, Stored* biases) {
  const auto maximum = static_cast<float>((1 << format.bits) - 1);
  std::array<float, 128> storage;
  const std::span<float> values(storage.data(), static_cast<std::size_t>(format.group_size));
  for (int start = 0, group = 0; start < columns; start += format.group_size, ++group) {
    for (int i = 0; i < format.group_size; ++i) values[i] = static_cast<float>(row[start + i]);
    if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
      return false;
    const Line line = LineSearch<Stored>(values, maximum).run();
    scales[group] = static_cast<Stored>(line.scale);
    biases[group] = static_cast<Stored>(line.bias);
    const float inverse = line.scale == 0 ? 0 : 1 / line.scale;
    for (int i = 0; i < format.group_size; ++i) {
      const auto code = static_cast<std::uint64_t>(code_of(values[i], line, inverse, maximum));
      // A row is a stream of bits, the least significant first.
      const auto bit = static_cast<std::size_t>(start + i) * static_cast<std::size_t>(format.bits);
      const std::uint64_t shifted = code << (bit % 32);
      codes[bit / 32] |= static_cast<std::uint32_t>(shifted);
      if (shifted >> 32 != 0) codes[bit / 32 + 1] |= static_cast<std::uint32_t>(shifted >> 32);
    }
  }
  return true;
}

/// Calls `f` with the C++ type of a weight dtype.
template <typename F>
void dispatch_weight_dtype(Dtype dtype, F&& f) {
  if (dtype == float32) return f(std::type_identity<float>{});
  if (dtype == float16) return f(std::type_identity<float16_t>{});
  if (dtype == bfloat16) return f(std::type_identity<bfloat16_t>{});
  throw std::invalid_argument("[convert] weights and scales are float32, float16 or bfloat16");
}

}  // namespace

QuantizedMatrixArrays quantize_closely(const array& w, const Quantization& format, Dtype scale_dtype) {
  const int rows = w.shape(0);
  const int columns = w.shape(1);
  const int words = columns * format.bits / 32;
  const int groups = columns / format.group_size;
  std::vector<std::uint32_t> codes(static_cast<std::size_t>(rows) * static_cast<std::size_t>(words));
  std::vector<std::uint8_t> finite(static_cast<std::size_t>(rows));
  std::optional<QuantizedMatrixArrays> result;
  dispatch_weight_dtype(w.dtype(), [&]<typename Value>(std::type_identity<Value>) {
    dispatch_weight_dtype(scale_dtype, [&]<typename Stored>(std::type_identity<Stored>) {
      const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(groups);
      std::vector<Stored> scales(count), biases(count);
      const Value* values = w.data<Value>();
      parallel_for(rows, [&](std::int64_t row) {
        finite[row] = quantize_row(values + row * w.strides(0), columns, format, codes.data() + row * words,
                                   scales.data() + row * groups, biases.data() + row * groups);
      });
      if (!std::all_of(finite.begin(), finite.end(), [](std::uint8_t row) { return row != 0; })) {
        throw std::invalid_argument("[convert] it holds values that are not finite");
      }
      result = {array(codes.begin(), {rows, words}, uint32),
                array(scales.begin(), {rows, groups}, scale_dtype),
                array(biases.begin(), {rows, groups}, scale_dtype)};
    });
  });
  return *std::move(result);
}

}  // namespace lazuli::lm
