#include <lazuli/array/print.h>

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <mutex>
#include <ostream>

namespace lazuli {

namespace {

std::mutex options_mutex;
PrintOptions current_options;

constexpr std::string_view opening = "array(";

/// Writes the elements of a computed array.
class Printer {
 public:
  Printer(const array& a, const PrintOptions& options, fmt::memory_buffer& out)
      : array_(a),
        options_(options),
        data_(a.data<std::byte>()),
        is_summary_(a.size() > static_cast<size_t>(options.threshold)),
        out_(out) {}

  /// The part of the array whose first element lies `offset` elements from the start.
  void print(size_t dim, int64_t offset) {
    if (dim == array_.ndim()) return print_element(offset);
    const int64_t count = array_.shape()[dim].hint();
    const int64_t edge = options_.edge_items;
    const bool skips = is_summary_ && count > 2 * edge;
    const bool is_last = dim + 1 == array_.ndim();
    append("[");
    for (int64_t i = 0; i < count; ++i) {
      if (i > 0) append(is_last ? ", " : ",\n");
      // Rows stand below the first one.
      if (i > 0 && !is_last) append(std::string(opening.size() + dim + 1, ' '));
      if (skips && i == edge) {
        append("...");
        i = count - edge - 1;
      } else {
        print(dim + 1, offset + i * array_.strides()[dim]);
      }
    }
    append("]");
  }

 private:
  void append(std::string_view text) { out_.append(text.data(), text.data() + text.size()); }

  void print_element(int64_t offset) {
    const std::byte* at = data_ + offset * static_cast<int64_t>(array_.itemsize());
    dispatch_dtype(array_.dtype(), [&]<typename T>(std::type_identity<T>) {
      T value;
      std::memcpy(&value, at, sizeof(T));
      if constexpr (std::is_same_v<T, bool>) {
        append(value ? "True" : "False");
      } else if constexpr (std::is_same_v<T, complex64_t>) {
        print_float(value.real(), false);
        print_float(value.imag(), true);
        append("j");
      } else if constexpr (std::is_same_v<T, double>) {
        print_float(value, false);
      } else if constexpr (std::is_integral_v<T>) {
        fmt::format_to(std::back_inserter(out_), "{}", value);
      } else {
        print_float(static_cast<float>(value), false);
      }
    });
  }

  template <typename T>
  void print_float(T value, bool with_sign) {
    // A NaN's sign says nothing.
    if (std::isnan(value)) return append(with_sign ? "+nan" : "nan");
    if (with_sign) {
      fmt::format_to(std::back_inserter(out_), "{:+.{}g}", value, options_.precision);
    } else {
      fmt::format_to(std::back_inserter(out_), "{:.{}g}", value, options_.precision);
    }
  }

  const array& array_;
  const PrintOptions& options_;
  const std::byte* data_;
  bool is_summary_;
  fmt::memory_buffer& out_;
};

}  // namespace

PrintOptions print_options() {
  const std::lock_guard lock(options_mutex);
  return current_options;
}

PrintOptions set_printoptions(const PrintOptions& options) {
  if (options.precision < 0 || options.threshold < 0 || options.edge_items < 0) {
    throw std::invalid_argument("[set_printoptions] negative number");
  }
  const std::lock_guard lock(options_mutex);
  return std::exchange(current_options, options);
}

std::string to_string(const array& a, const PrintOptions& options) {
  array evaluated = a;
  evaluated.eval();
  fmt::memory_buffer out;
  out.append(opening.data(), opening.data() + opening.size());
  Printer(evaluated, options, out).print(0, 0);
  fmt::format_to(std::back_inserter(out), ", dtype={})", dtype_name(a.dtype()));
  return fmt::to_string(out);
}

std::string to_string(const array& a) {
  return to_string(a, print_options());
}

std::ostream& operator<<(std::ostream& os, array a) {
  return os << to_string(a);
}

}  // namespace lazuli
