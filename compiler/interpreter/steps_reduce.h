#pragma once

#include <limits>

#include <lazuli/compiler/interpreter/steps_memory.h>

/// The reductions of one instruction set.
namespace lazuli::interpreter {
namespace {

/// A reduction by an associative operation.
template <typename Operation_, kir::Opcode op>
struct Fold {
  using Operation = Operation_;
  static constexpr kir::Opcode opcode = op;

  /// Sums of float32 are kept in double between blocks, so that their error does not grow with their length.
  template <typename T>
  using Accumulator =
      std::conditional_t<op == kir::Opcode::reduce_sum && std::is_same_v<T, float>, double, T>;

  template <typename T>
  static constexpr T identity() {
    using Limits = std::numeric_limits<T>;
    if constexpr (op == kir::Opcode::reduce_prod)
      return T{1};
    else if constexpr (op == kir::Opcode::reduce_min)
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    else if constexpr (op == kir::Opcode::reduce_max)
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    else if constexpr (op == kir::Opcode::reduce_and)
      return kir::scalar::BitNot::apply(T{0});
    else
      return T{0};
  }
};

using Folds = std::tuple<
    Fold<kir::scalar::Add, kir::Opcode::reduce_sum>, Fold<kir::scalar::Mul, kir::Opcode::reduce_prod>,
    Fold<kir::scalar::Min, kir::Opcode::reduce_min>, Fold<kir::scalar::Max, kir::Opcode::reduce_max>,
    Fold<kir::scalar::BitAnd, kir::Opcode::reduce_and>, Fold<kir::scalar::BitOr, kir::Opcode::reduce_or>>;

/// Adds the second unit pair of `values` and those after it to `chains`; gives back how far it came.
template <typename Operation, typename T>
int64_t fold_chains(T* chains, const T* values, int64_t length) {
  constexpr int64_t width = 2 * unit;
  int64_t i = width;
  if constexpr (OnBatches<Operation>::template of<T>) {
    constexpr size_t size = Batch<T>::size;
    Batch<T> sums[width / size];
    for (size_t k = 0; k < width / size; ++k) sums[k] = Batch<T>::load_aligned(chains + k * size);
    for (; i + width <= length; i += width) {
      for (size_t k = 0; k < width / size; ++k) {
        sums[k] = OnBatches<Operation>::apply(sums[k], Batch<T>::load_unaligned(values + i + k * size));
      }
    }
    for (size_t k = 0; k < width / size; ++k) sums[k].store_aligned(chains + k * size);
  } else {
    for (; i + width <= length; i += width) {
      for (int64_t j = 0; j < width; ++j) chains[j] = Operation::apply(chains[j], values[i + j]);
    }
  }
  return i;
}

/// One row's values, in two units of independent chains.
template <typename Operation, typename T>
T fold_row(const T* values, int64_t length, T identity) {
  constexpr int64_t width = 2 * unit;
  alignas(64) T chains[width];
  T result = identity;
  int64_t i = 0;
  if (length >= width) {
    std::memcpy(chains, values, sizeof(chains));
    i = fold_chains<Operation>(chains, values, length);
    for (int64_t half = unit; half > 0; half /= 2) {
      for (int64_t j = 0; j < half; ++j) chains[j] = Operation::apply(chains[j], chains[j + half]);
    }
    result = Operation::apply(result, chains[0]);
  }
  for (; i < length; ++i) result = Operation::apply(result, values[i]);
  return result;
}

template <typename Reduction, typename T>
struct FoldSteps {
  using Accumulator = typename Reduction::template Accumulator<T>;
  using Operation = typename Reduction::Operation;

  static void start(std::byte* accumulators, int64_t count) {
    auto* a = reinterpret_cast<Accumulator*>(accumulators);
    for (int64_t i = 0; i < count; ++i) a[i] = Reduction::template identity<Accumulator>();
  }
  static void rows(std::byte* accumulators, const std::byte* values, int64_t rows, int64_t length, int64_t) {
    auto* a = reinterpret_cast<Accumulator*>(accumulators);
    const auto* x = reinterpret_cast<const T*>(values);
    for (int64_t row = 0; row < rows; ++row, x += length) {
      const T part = fold_row<Operation>(x, length, Reduction::template identity<T>());
      a[row] = Operation::apply(a[row], static_cast<Accumulator>(part));
    }
  }
  static void columns(std::byte* accumulators, const std::byte* values, int64_t rows, int64_t width,
                      int64_t) {
    auto* a = reinterpret_cast<Accumulator*>(accumulators);
    const auto* x = reinterpret_cast<const T*>(values);
    for (int64_t row = 0; row < rows; ++row, x += width) {
      for (int64_t i = 0; i < width; ++i) a[i] = Operation::apply(a[i], static_cast<Accumulator>(x[i]));
    }
  }
  static void finish(std::byte* result, const std::byte* accumulators, int64_t count) {
    const auto* a = reinterpret_cast<const Accumulator*>(accumulators);
    auto* to = reinterpret_cast<T*>(result);
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(a[i]);
  }
};

/// The position of the first best value, a NaN being better than any number.
template <typename Operation, typename T>
struct ArgSteps {
  struct Accumulator {
    T value;
    int64_t position;  ///< -1 before the first value
  };

  static bool better(T a, T b) {
    if (kir::scalar::is_nan(b)) return false;
    return kir::scalar::is_nan(a) || (Operation::opcode == kir::Opcode::min ? a < b : b < a);
  }
  static bool same(T a, T b) { return a == b || (kir::scalar::is_nan(a) && kir::scalar::is_nan(b)); }

  static void start(std::byte* accumulators, int64_t count) {
    auto* a = reinterpret_cast<Accumulator*>(accumulators);
    for (int64_t i = 0; i < count; ++i) a[i] = {T{}, -1};
  }
  static void rows(std::byte* accumulators, const std::byte* values, int64_t rows, int64_t length,
                   int64_t position) {
    if (length == 0) return;
    auto* a = reinterpret_cast<Accumulator*>(accumulators);
    const auto* x = reinterpret_cast<const T*>(values);
    for (int64_t row = 0; row < rows; ++row, x += length) {
      const T best = fold_row<Operation>(x, length, x[0]);
      if (a[row].position >= 0 && !better(best, a[row].value)) continue;
      int64_t i = 0;
      while (!same(x[i], best)) ++i;
      a[row] = {best, position + i};
    }
  }
  static void columns(std::byte* accumulators, const std::byte* values, int64_t rows, int64_t width,
                      int64_t position) {
    auto* a = reinterpret_cast<Accumulator*>(accumulators);
    const auto* x = reinterpret_cast<const T*>(values);
    for (int64_t row = 0; row < rows; ++row, x += width) {
      for (int64_t i = 0; i < width; ++i) {
        if (a[i].position < 0 || better(x[i], a[i].value)) a[i] = {x[i], position + row};
      }
    }
  }
  static void finish(std::byte* result, const std::byte* accumulators, int64_t count) {
    const auto* a = reinterpret_cast<const Accumulator*>(accumulators);
    auto* to = reinterpret_cast<int64_t*>(result);
    for (int64_t i = 0; i < count; ++i) to[i] = a[i].position < 0 ? 0 : a[i].position;
  }
};

template <typename Steps>
void add_steps(StepTable& table, kir::Opcode op, size_t type) {
  table.reduce[static_cast<size_t>(op) - static_cast<size_t>(kir::Opcode::reduce_sum)][type] = {
      sizeof(typename Steps::Accumulator), Steps::start, Steps::rows, Steps::columns, Steps::finish};
}

inline void add_reductions(StepTable& table) {
  for_each_type<ComputeTypes>([&]<typename T>(std::type_identity<T>) {
    constexpr size_t type = type_index<T>();
    for_each_type<Folds>([&]<typename Reduction>(std::type_identity<Reduction>) {
      if constexpr (kir::accepts(Reduction::opcode, kir::scalar::compute_dtype<T>())) {
        add_steps<FoldSteps<Reduction, T>>(table, Reduction::opcode, type);
      }
    });
    add_steps<ArgSteps<kir::scalar::Min, T>>(table, kir::Opcode::reduce_argmin, type);
    add_steps<ArgSteps<kir::scalar::Max, T>>(table, kir::Opcode::reduce_argmax, type);
  });
}

inline StepTable make_table() {
  StepTable table;
  add_arithmetic(table);
  add_memory(table);
  add_reductions(table);
  return table;
}

}  // namespace
}  // namespace lazuli::interpreter
