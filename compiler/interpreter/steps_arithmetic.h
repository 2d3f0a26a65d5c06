#pragma once

#include <tuple>
#include <utility>

#include <lazuli/compiler/interpreter/lanes.h>

/// The computing steps of one instruction set.
namespace lazuli::interpreter {
namespace {

template <typename T>
constexpr size_t type_index() {
  return static_cast<size_t>(kir::scalar::compute_dtype<T>().val());
}

using ComputeTypes =
    std::tuple<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float, double>;

/// Calls `f(std::type_identity<T>{})` for every type of a tuple.
template <typename Tuple, typename F>
constexpr void for_each_type(F&& f) {
  [&]<typename... T>(std::type_identity<std::tuple<T...>>) {
    (f(std::type_identity<T>{}), ...);
  }(std::type_identity<Tuple>{});
}

/// The loop that all computing steps share.
template <typename Operation, typename Result, typename... Operands>
void step(const StepArguments& arguments) {
  [&]<size_t... i>(std::index_sequence<i...>) {
    auto* result = reinterpret_cast<Stored<Result>*>(arguments.result);
    std::tuple operands{reinterpret_cast<const Stored<Operands>*>(arguments.operands[i])...};
    const size_t advance[] = {((arguments.moving >> i) & 1u) * size_t{unit}...};
    for (int64_t n = arguments.units; n > 0; --n) {
      apply_unit<Operation, Result, Operands...>(result, std::get<i>(operands)...);
      result += unit;
      ((std::get<i>(operands) += advance[i]), ...);
    }
  }
  (std::index_sequence_for<Operands...>{});
}

struct Select {
  template <typename T>
  static T apply(bool condition, T a, T b) {
    if constexpr (kir::scalar::is_bool<T>)
      return (condition & a) | (!condition & b);
    else
      return condition ? a : b;
  }
};

/// `kir::scalar::convert` in forms without branches, of which compilers make vector code.
template <typename To>
struct Convert {
  template <typename From>
  static To apply(From a) {
    constexpr bool to_integer = std::is_integral_v<To> && !kir::scalar::is_bool<To>;
    if constexpr (kir::scalar::is_bool<From> && !kir::scalar::is_bool<To>) {
      return static_cast<To>(static_cast<int32_t>(a));
    } else if constexpr (std::is_floating_point_v<From> && to_integer && sizeof(To) <= 4) {
      return saturate(a);
    } else {
      return kir::scalar::convert<To>(a);
    }
  }

 private:
  template <typename From>
  static To saturate(From a) {
    constexpr From half = 0x1p31;
    const From number = a == a ? a : From{0};
    if constexpr (sizeof(To) < 4) {
      constexpr From low = std::numeric_limits<To>::lowest();
      constexpr From high = std::numeric_limits<To>::max();
      const From raised = number < low ? low : number;
      return static_cast<To>(static_cast<int32_t>(raised > high ? high : raised));
    } else if constexpr (std::is_signed_v<To>) {
      const From raised = number < -half ? -half : number;
      const auto converted = static_cast<int32_t>(raised >= half ? From{0} : raised);
      return raised >= half ? std::numeric_limits<To>::max() : converted;
    } else {
      // The upper half of the range is converted as if it were the lower one.
      const From raised = number < From{0} ? From{0} : number;
      const From excess = raised >= half ? raised - half : raised;
      const auto converted = static_cast<uint32_t>(static_cast<int32_t>(excess >= half ? From{0} : excess));
      const uint32_t placed = raised >= half ? converted + 0x80000000u : converted;
      return excess >= half ? std::numeric_limits<To>::max() : placed;
    }
  }
};

template <kir::Table table>
struct LookUp {
  static float apply(int32_t index) { return kir::scalar::look_up(table, index); }
};

struct Copy {
  template <typename T>
  static T apply(T a) {
    return a;
  }
};

template <typename Operation, typename Rows>
constexpr void add_unary(Rows& rows) {
  for_each_type<ComputeTypes>([&]<typename T>(std::type_identity<T>) {
    if constexpr (kir::scalar::defined_for<Operation, T>) {
      rows[static_cast<size_t>(Operation::opcode)][type_index<T>()] = step<Operation, T, T>;
    }
  });
}

template <typename Operation, typename Rows>
constexpr void add_binary(Rows& rows) {
  for_each_type<ComputeTypes>([&]<typename T>(std::type_identity<T>) {
    if constexpr (kir::scalar::defined_for<Operation, T>) {
      using Result = decltype(Operation::apply(T{}, T{}));
      rows[static_cast<size_t>(Operation::opcode)][type_index<T>()] = step<Operation, Result, T, T>;
    }
  });
}

using Comparisons = std::tuple<kir::scalar::Eq, kir::scalar::Ne, kir::scalar::Lt, kir::scalar::Le>;
/// Types compared, and types chosen between, in one step. They are of the same size.
using ComparedPairs =
    std::tuple<std::pair<float, float>, std::pair<float, int32_t>, std::pair<int32_t, float>,
               std::pair<int32_t, int32_t>, std::pair<double, double>, std::pair<double, int64_t>,
               std::pair<int64_t, double>, std::pair<int64_t, int64_t>>;

template <typename Table>
constexpr void add_compare_select(Table& table) {
  for_each_type<Comparisons>([&]<typename Comparison>(std::type_identity<Comparison>) {
    for_each_type<ComparedPairs>([&]<typename T, typename V>(std::type_identity<std::pair<T, V>>) {
      constexpr auto row = static_cast<size_t>(Comparison::opcode) - static_cast<size_t>(kir::Opcode::eq);
      table[row][type_index<T>()][type_index<V>()] = step<CompareSelect<Comparison>, V, T, T, V, V>;
    });
  });
}

inline void add_arithmetic(StepTable& table) {
  for_each_type<kir::scalar::UnaryOperations>(
      [&]<typename Operation>(std::type_identity<Operation>) { add_unary<Operation>(table.arithmetic); });
  for_each_type<kir::scalar::BinaryOperations>(
      [&]<typename Operation>(std::type_identity<Operation>) { add_binary<Operation>(table.arithmetic); });
  for_each_type<ComputeTypes>([&]<typename T>(std::type_identity<T>) {
    constexpr size_t type = type_index<T>();
    if constexpr (std::is_floating_point_v<T>) {
      table.arithmetic[static_cast<size_t>(kir::Opcode::fma)][type] = step<Fma, T, T, T, T>;
    }
    table.arithmetic[static_cast<size_t>(kir::Opcode::select)][type] = step<Select, T, bool, T, T>;
    for_each_type<ComputeTypes>([&]<typename To>(std::type_identity<To>) {
      table.cast[type][type_index<To>()] = step<Convert<To>, To, T>;
    });
  });
  [&]<size_t... n>(std::index_sequence<n...>) {
    ((table.look_up[n] = step<LookUp<static_cast<kir::Table>(n)>, float, int32_t>), ...);
  }
  (std::make_index_sequence<kir::table_count>{});
  table.arithmetic[static_cast<size_t>(kir::Opcode::scalb)][type_index<float>()] =
      step<kir::scalar::Scalb, float, float, float>;
  table.copy[1] = step<Copy, uint8_t, uint8_t>;
  table.copy[2] = step<Copy, uint16_t, uint16_t>;
  table.copy[4] = step<Copy, uint32_t, uint32_t>;
  table.copy[8] = step<Copy, uint64_t, uint64_t>;
  add_compare_select(table.compare_select);
}

}  // namespace
}  // namespace lazuli::interpreter
