#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

/// Sorting of rows: `rows` times `length` elements, one row after the other. The order is ascending, NaN
/// last; complex numbers are ordered by real part, then by imaginary part.
namespace lazuli::templates {

/// Sorts each row of `in` into `out`. -0 comes before 0, and NaN may change its bits.
void sort_rows(Dtype dtype, int64_t rows, int64_t length, const std::byte* in, std::byte* out);

/// The positions, within its row, of the elements in order. Equal elements (and NaN, and zeros of either
/// sign) stay in the order in which they are.
void argsort_rows(Dtype dtype, int64_t rows, int64_t length, const std::byte* in, uint32_t* out);

/// For each of `count` values how many of the `length` elements of an ascending sequence are less than it, or
/// `or_equal`.
void search_sorted(Dtype dtype, const std::byte* sequence, int64_t length, const std::byte* values,
                   int64_t count, bool or_equal, uint32_t* out);

}  // namespace lazuli::templates
