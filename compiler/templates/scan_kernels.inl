// Loops of cumulative operations, on the vectors of portable_vectors.inl, which says how this is compiled.

#include <lazuli/compiler/templates/scan_vectors.inl>
//
#include <lazuli/compiler/templates/scan_small_products.inl>
//
#include <lazuli/compiler/templates/scan_rows.inl>
//
#include <lazuli/compiler/templates/scan_columns.inl>
//
#include <lazuli/compiler/templates/portable_logarithms.inl>
//
#include <lazuli/compiler/templates/scan_logarithms.inl>

template <typename Op, typename T>
constexpr ScanLoops<T> loops_of() {
  using A = typename Elements<T>::A;
  return {row_either<Combinations<Op, A>::template State, T>, total_loop<Op, T>, columns_either<Op, T>,
          column_totals_loop<Op, T>, pass_on_loop<Op, A>};
}

template <typename T>
constexpr ScanLoops<T> logarithm_loops() {
  using A = typename Elements<T>::A;
  constexpr bool is_floating = static_cast<A>(0.5) != A{};
  if constexpr (is_floating) {
    return {row_either<Logarithms<A>::template State, T>, log_total<T>, log_columns_either<T>,
            log_column_totals<T>, pass_on_logarithms<A>};
  } else {
    return {};
  }
}

template <typename T>
constexpr ScanTable<T> table_of() {
  return {{loops_of<Sum, T>(), loops_of<Product, T>(), loops_of<Maximum, T>(), loops_of<Minimum, T>(),
           logarithm_loops<T>()}};
}

constexpr ScanKernels kernels_of_this_set{table_of<float>(),   table_of<double>(),    table_of<int32_t>(),
                                          table_of<int64_t>(), table_of<float16_t>(), table_of<bfloat16_t>()};
