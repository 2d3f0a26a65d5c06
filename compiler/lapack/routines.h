#pragma once

#include <cstdint>

#include <lazuli/compiler/lapack/library.h>

/// The routines of LAPACK that linear algebra is made of, for one matrix each: columns behind one another, as
/// in Fortran, and as far apart as they are long unless a leading extent is given. What they return is
/// LAPACK's `info`: 0 where all went well, positive where a matrix does not allow it (singular, not positive
/// definite, no convergence). See https://netlib.org/lapack for what each computes.
namespace lazuli::lapack {

/// The dtype of norms, singular values and eigenvalues of hermitian matrices.
template <Element T>
using RealOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// a [m, n] = QR: R on and above the diagonal, below it and in tau [min(m, n)] the reflectors.
template <Element T>
int geqrf(int m, int n, T* a, T* tau);
/// From what geqrf left in the first k columns of a [m, n]: the first n columns of Q.
template <Element T>
int orgqr(int m, int n, int k, T* a, const T* tau);
/// Singular values in descending order, and with `job` 'A' or 'S' all or the first min(m, n) columns of u and
/// rows of vt; with 'N' neither. Overwrites a [m, n].
template <Element T>
int gesdd(char job, int m, int n, T* a, RealOf<T>* s, T* u, int ldu, T* vt, int ldvt);
/// The same by the slower way that converges where gesdd does not.
template <Element T>
int gesvd(char job, int m, int n, T* a, RealOf<T>* s, T* u, int ldu, T* vt, int ldvt);
/// a [m, n] = PLU: both factors in place, and for each row the one (from 1) that it was exchanged with.
template <Element T>
int getrf(int m, int n, T* a, int* pivots);
/// The inverse, from what getrf left.
template <Element T>
int getri(int n, T* a, const int* pivots);
/// b [n, columns] := the solution of op(A) x = b, from what getrf left: op is that of `transposed`, 'N' or
/// 'T'.
template <Element T>
int getrs(char transposed, int n, int columns, const T* a, const int* pivots, T* b);
/// The Cholesky factor in the triangle `uplo` ('L' or 'U'); the other one is left as it is.
template <Element T>
int potrf(char uplo, int n, T* a);
/// The inverse of the triangle `uplo`, in place.
template <Element T>
int trtri(char uplo, int n, T* a);
/// b [n, columns] := the solution of op(A) x = b for the triangle `uplo` of a.
template <Element T>
int trtrs(char uplo, char transposed, int n, int columns, const T* a, T* b);
/// Eigenvalues, ascending, of the hermitian matrix whose triangle `uplo` is given, and with `job` 'V' its
/// eigenvectors in a's columns.
template <Element T>
int heevd(char job, char uplo, int n, T* a, RealOf<T>* w);
/// Eigenvalues of any square matrix, and where `vectors` is not null the eigenvectors to the right, both as
/// pairs of real and imaginary parts. Overwrites a.
template <Element T>
int geev(int n, T* a, complex64_t* w, complex64_t* vectors);

/// How many threads LAPACK uses for one call: 1 where that cannot be said.
int threads();
void set_threads(int count);

}  // namespace lazuli::lapack
