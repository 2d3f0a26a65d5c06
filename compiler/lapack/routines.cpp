#include <lazuli/compiler/lapack/routines.h>

#include <algorithm>
#include <complex>
#include <vector>

// Complex numbers as ours, not as in C.
#define LAPACK_COMPLEX_CUSTOM
#define lapack_complex_float lazuli::complex64_t
#define lapack_complex_double std::complex<double>
#include <lapacke.h>

namespace lazuli::lapack {

namespace {

constexpr int by_columns = LAPACK_COL_MAJOR;

Routine<decltype(LAPACKE_sgeqrf), decltype(LAPACKE_dgeqrf), decltype(LAPACKE_cgeqrf)> geqrf_routine{
    "LAPACKE_sgeqrf", "LAPACKE_dgeqrf", "LAPACKE_cgeqrf"};
Routine<decltype(LAPACKE_sorgqr), decltype(LAPACKE_dorgqr), decltype(LAPACKE_cungqr)> orgqr_routine{
    "LAPACKE_sorgqr", "LAPACKE_dorgqr", "LAPACKE_cungqr"};
Routine<decltype(LAPACKE_sgesdd), decltype(LAPACKE_dgesdd), decltype(LAPACKE_cgesdd)> gesdd_routine{
    "LAPACKE_sgesdd", "LAPACKE_dgesdd", "LAPACKE_cgesdd"};
Routine<decltype(LAPACKE_sgesvd), decltype(LAPACKE_dgesvd), decltype(LAPACKE_cgesvd)> gesvd_routine{
    "LAPACKE_sgesvd", "LAPACKE_dgesvd", "LAPACKE_cgesvd"};
Routine<decltype(LAPACKE_sgetrf), decltype(LAPACKE_dgetrf), decltype(LAPACKE_cgetrf)> getrf_routine{
    "LAPACKE_sgetrf", "LAPACKE_dgetrf", "LAPACKE_cgetrf"};
Routine<decltype(LAPACKE_sgetri), decltype(LAPACKE_dgetri), decltype(LAPACKE_cgetri)> getri_routine{
    "LAPACKE_sgetri", "LAPACKE_dgetri", "LAPACKE_cgetri"};
Routine<decltype(LAPACKE_sgetrs), decltype(LAPACKE_dgetrs), decltype(LAPACKE_cgetrs)> getrs_routine{
    "LAPACKE_sgetrs", "LAPACKE_dgetrs", "LAPACKE_cgetrs"};
Routine<decltype(LAPACKE_spotrf), decltype(LAPACKE_dpotrf), decltype(LAPACKE_cpotrf)> potrf_routine{
    "LAPACKE_spotrf", "LAPACKE_dpotrf", "LAPACKE_cpotrf"};
Routine<decltype(LAPACKE_strtri), decltype(LAPACKE_dtrtri), decltype(LAPACKE_ctrtri)> trtri_routine{
    "LAPACKE_strtri", "LAPACKE_dtrtri", "LAPACKE_ctrtri"};
Routine<decltype(LAPACKE_strtrs), decltype(LAPACKE_dtrtrs), decltype(LAPACKE_ctrtrs)> trtrs_routine{
    "LAPACKE_strtrs", "LAPACKE_dtrtrs", "LAPACKE_ctrtrs"};
Routine<decltype(LAPACKE_ssyevd), decltype(LAPACKE_dsyevd), decltype(LAPACKE_cheevd)> heevd_routine{
    "LAPACKE_ssyevd", "LAPACKE_dsyevd", "LAPACKE_cheevd"};
Routine<decltype(LAPACKE_sgeev), decltype(LAPACKE_dgeev), decltype(LAPACKE_cgeev)> geev_routine{
    "LAPACKE_sgeev", "LAPACKE_dgeev", "LAPACKE_cgeev"};

/// A leading extent, which must not be 0.
int leading(int extent) {
  return std::max(extent, 1);
}

}  // namespace

template <Element T>
int geqrf(int m, int n, T* a, T* tau) {
  return geqrf_routine.of<T>()(by_columns, m, n, a, leading(m), tau);
}

template <Element T>
int orgqr(int m, int n, int k, T* a, const T* tau) {
  return orgqr_routine.of<T>()(by_columns, m, n, k, a, leading(m), tau);
}

template <Element T>
int gesdd(char job, int m, int n, T* a, RealOf<T>* s, T* u, int ldu, T* vt, int ldvt) {
  return gesdd_routine.of<T>()(by_columns, job, m, n, a, leading(m), s, u, leading(ldu), vt, leading(ldvt));
}

template <Element T>
int gesvd(char job, int m, int n, T* a, RealOf<T>* s, T* u, int ldu, T* vt, int ldvt) {
  std::vector<RealOf<T>> superdiagonal(static_cast<size_t>(leading(std::min(m, n))));
  return gesvd_routine.of<T>()(by_columns, job, job, m, n, a, leading(m), s, u, leading(ldu), vt,
                               leading(ldvt), superdiagonal.data());
}

template <Element T>
int getrf(int m, int n, T* a, int* pivots) {
  return getrf_routine.of<T>()(by_columns, m, n, a, leading(m), pivots);
}

template <Element T>
int getri(int n, T* a, const int* pivots) {
  return getri_routine.of<T>()(by_columns, n, a, leading(n), pivots);
}

template <Element T>
int getrs(char transposed, int n, int columns, const T* a, const int* pivots, T* b) {
  return getrs_routine.of<T>()(by_columns, transposed, n, columns, a, leading(n), pivots, b, leading(n));
}

template <Element T>
int potrf(char uplo, int n, T* a) {
  return potrf_routine.of<T>()(by_columns, uplo, n, a, leading(n));
}

template <Element T>
int trtri(char uplo, int n, T* a) {
  return trtri_routine.of<T>()(by_columns, uplo, 'N', n, a, leading(n));
}

template <Element T>
int trtrs(char uplo, char transposed, int n, int columns, const T* a, T* b) {
  return trtrs_routine.of<T>()(by_columns, uplo, transposed, 'N', n, columns, a, leading(n), b, leading(n));
}

template <Element T>
int heevd(char job, char uplo, int n, T* a, RealOf<T>* w) {
  return heevd_routine.of<T>()(by_columns, job, uplo, n, a, leading(n), w);
}

template <Element T>
int geev(int n, T* a, complex64_t* w, complex64_t* vectors) {
  const char job = vectors != nullptr ? 'V' : 'N';
  const auto size = static_cast<size_t>(n);
  if constexpr (std::is_same_v<T, complex64_t>) {
    return geev_routine.of<T>()(by_columns, 'N', job, n, a, leading(n), w, nullptr, 1, vectors, leading(n));
  } else {
    std::vector<T> re(size);
    std::vector<T> im(size);
    std::vector<T> columns(vectors != nullptr ? size * size : 0);
    const int info = geev_routine.of<T>()(by_columns, 'N', job, n, a, leading(n), re.data(), im.data(),
                                          nullptr, 1, columns.data(), leading(n));
    for (size_t j = 0; j < size; ++j) {
      w[j] = {static_cast<float>(re[j]), static_cast<float>(im[j])};
    }
    if (vectors == nullptr || info != 0) return info;
    // Of a conjugate pair, two columns hold the real and the imaginary parts of the first.
    for (size_t j = 0; j < size; ++j) {
      const bool is_pair = im[j] != 0 && j + 1 < size;
      for (size_t i = 0; i < size; ++i) {
        const auto of_column = static_cast<float>(columns[j * size + i]);
        const auto of_next = is_pair ? static_cast<float>(columns[(j + 1) * size + i]) : 0.0f;
        vectors[j * size + i] = {of_column, of_next};
        if (is_pair) vectors[(j + 1) * size + i] = {of_column, -of_next};
      }
      if (is_pair) ++j;
    }
    return info;
  }
}

#define LAZULI_INSTANTIATE(T)                                           \
  template int geqrf(int, int, T*, T*);                                 \
  template int orgqr(int, int, int, T*, const T*);                      \
  template int gesdd(char, int, int, T*, RealOf<T>*, T*, int, T*, int); \
  template int gesvd(char, int, int, T*, RealOf<T>*, T*, int, T*, int); \
  template int getrf(int, int, T*, int*);                               \
  template int getri(int, T*, const int*);                              \
  template int getrs(char, int, int, const T*, const int*, T*);         \
  template int potrf(char, int, T*);                                    \
  template int trtri(char, int, T*);                                    \
  template int trtrs(char, char, int, int, const T*, T*);               \
  template int heevd(char, char, int, T*, RealOf<T>*);                  \
  template int geev(int, T*, complex64_t*, complex64_t*);
LAZULI_INSTANTIATE(float)
LAZULI_INSTANTIATE(double)
LAZULI_INSTANTIATE(complex64_t)
#undef LAZULI_INSTANTIATE

int threads() {
  static auto* const get = reinterpret_cast<int (*)()>(find_function("openblas_get_num_threads"));
  return get != nullptr ? get() : 1;
}

void set_threads(int count) {
  static auto* const set = reinterpret_cast<void (*)(int)>(find_function("openblas_set_num_threads"));
  if (set != nullptr) set(count);
}

}  // namespace lazuli::lapack
