#include <lazuli/compiler/templates/matmul_result.h>

#include <algorithm>

#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/packing.h>

namespace lazuli::templates {

namespace {

bool is_storage(Dtype dtype) {
  return dtype == float32 || dtype == float16 || dtype == bfloat16;
}

/// A float product, and c (if any) and out in float32 or halves: a few hundred columns at a time.
void store_float_row(const MatmulResult& result, const float* product, int64_t row, int64_t column,
                     int64_t columns) {
  constexpr int64_t chunk = 256;
  const Kernels& table = kernels();
  const auto narrow = table.narrow[static_cast<size_t>(storage_of(result.dtype))];
  std::byte* out = result.out + (row * result.row_stride + column) * result.dtype.size();
  if (result.alpha == 1 && result.beta == 0) return narrow(product, out, columns);
  const float alpha = static_cast<float>(result.alpha);
  const float beta = static_cast<float>(result.beta);
  for (int64_t j = 0; j < columns; j += chunk) {
    const int64_t count = std::min(chunk, columns - j);
    float sum[chunk];
    for (int64_t i = 0; i < count; ++i) sum[i] = alpha * product[j + i];
    if (result.beta != 0) {
      const int64_t size = result.c.dtype.size();
      const std::byte* c =
          result.c.data + (row * result.c.row_stride + (column + j) * result.c.column_stride) * size;
      float addend[chunk];
      const auto widen = table.widen[static_cast<size_t>(storage_of(result.c.dtype))];
      if (result.c.column_stride == 1) {
        widen(c, addend, count);
      } else {
        for (int64_t i = 0; i < count; ++i) widen(c + i * result.c.column_stride * size, addend + i, 1);
      }
      for (int64_t i = 0; i < count; ++i) sum[i] += beta * addend[i];
    }
    narrow(sum, out + j * result.dtype.size(), count);
  }
}

/// Any mixture of dtypes, an element at a time.
template <typename T, typename Out, typename C>
void store_elements(const MatmulResult& result, const T* block, int64_t block_row_stride, int64_t row,
                    int64_t rows, int64_t column, int64_t columns) {
  const int64_t parts = result.complex_product ? 2 : 1;
  const T alpha = static_cast<T>(result.alpha);
  const T beta = static_cast<T>(result.beta);
  for (int64_t i = 0; i < rows; ++i) {
    Out* out = reinterpret_cast<Out*>(result.out) + (row + i) * result.row_stride + column / parts;
    for (int64_t j = 0; j < columns / parts; ++j) {
      const T* product = block + i * block_row_stride + j * parts;
      T re = alpha * product[0];
      T im = parts == 2 ? alpha * product[1] : T{0};
      if (result.beta != 0) {
        const C& c = reinterpret_cast<const C*>(
            result.c.data)[(row + i) * result.c.row_stride + (column / parts + j) * result.c.column_stride];
        re += beta * real_value<T>(c);
        im += beta * imaginary_value<T>(c);
      }
      if constexpr (std::is_same_v<Out, complex64_t>) {
        out[j] = complex64_t(static_cast<float>(re), static_cast<float>(im));
      } else {
        out[j] = static_cast<Out>(re);
      }
    }
  }
}

}  // namespace

template <typename T>
T* MatmulResult::in_place() const {
  if (alpha != 1 || beta != 0 || take != nullptr) return nullptr;
  const Dtype wanted = complex_product ? complex64 : sizeof(T) == sizeof(float) ? float32 : float64;
  if (dtype != wanted || (complex_product && sizeof(T) != sizeof(float))) return nullptr;
  return reinterpret_cast<T*>(out);
}

MatmulResult MatmulResult::from_row(int64_t row) const {
  MatmulResult rest = *this;
  if (out != nullptr) rest.out += row * row_stride * dtype.size();
  if (beta != 0) rest.c.data += row * c.row_stride * c.dtype.size();
  rest.first_row += row;
  return rest;
}

template <typename T>
void MatmulResult::store(const T* block, int64_t block_row_stride, int64_t row, int64_t rows, int64_t column,
                         int64_t columns) const {
  if (take != nullptr) {
    return (*take)({reinterpret_cast<const std::byte*>(block), block_row_stride, first_row + row, rows,
                    column, columns});
  }
  if constexpr (std::is_same_v<T, float>) {
    if (!complex_product && is_storage(dtype) && (beta == 0 || is_storage(c.dtype))) {
      for (int64_t i = 0; i < rows; ++i) {
        store_float_row(*this, block + i * block_row_stride, row + i, column, columns);
      }
      return;
    }
  }
  dispatch_inexact(dtype, [&](auto out_type) {
    dispatch_inexact(c.dtype, [&](auto c_type) {
      store_elements<T, typename decltype(out_type)::type, typename decltype(c_type)::type>(
          *this, block, block_row_stride, row, rows, column, columns);
    });
  });
}

template float* MatmulResult::in_place<float>() const;
template double* MatmulResult::in_place<double>() const;
template void MatmulResult::store<float>(const float*, int64_t, int64_t, int64_t, int64_t, int64_t) const;
template void MatmulResult::store<double>(const double*, int64_t, int64_t, int64_t, int64_t, int64_t) const;

}  // namespace lazuli::templates
