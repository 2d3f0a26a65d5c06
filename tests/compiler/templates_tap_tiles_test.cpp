// Tiles of convolutions whose taps share what they load, against loops over what they are said to do.

#include <gtest/gtest.h>

#include <vector>

#include <lazuli/compiler/templates/tap_tile.h>

#include "support/settings_scope.h"

namespace lazuli::templates {
namespace {

/// Small whole numbers, whose sums are exact in any order.
template <typename T>
std::vector<T> whole_numbers(size_t count, size_t apart) {
  std::vector<T> numbers(count);
  for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<T>(i % apart) - static_cast<T>(apart / 2);
  return numbers;
}

template <typename T>
void expect_sums(const TapKernel<T>& kernel, const TapForm& form, TapTile<T> tile) {
  const auto result_size = static_cast<size_t>(tile.rows * tile.c_row_stride);
  std::vector<T> c(result_size, 2);
  tile.c = c.data();
  kernel.run(tile);
  const int64_t elements = (tile.rows - 1) * form.step + form.taps;
  for (int64_t i = 0; i < tile.rows; ++i) {
    for (int64_t j = 0; j < tile.c_row_stride; ++j) {
      T want = j >= tile.columns || tile.accumulate != 0 ? 2 : 0;
      for (int64_t t = 0; t < form.taps && j < tile.columns; ++t) {
        const int64_t element = i * form.step + t;
        if (element < tile.missing_before || element >= elements - tile.missing_after) continue;
        for (int64_t p = 0; p < tile.runs * tile.k; ++p) {
          want += tile.a[p / tile.k * tile.a_run_stride + element * tile.a_row_stride + p % tile.k] *
                  tile.b[(p * form.taps + t) * kernel.columns + j];
        }
      }
      ASSERT_EQ(c[static_cast<size_t>(i * tile.c_row_stride + j)], want)
          << form.taps << " taps in steps of " << form.step << ", " << tile.rows << " x " << tile.columns
          << " of " << tile.k << " depths: " << i << ", " << j;
    }
  }
}

template <typename T>
void expect_tiles(const TapForm& form) {
  const TapKernel<T>* const kernel = tap_kernel<T>(form);
  if (kernel == nullptr) return;  // no such machine
  constexpr int64_t most_depths = 9;
  const std::vector<T> a = whole_numbers<T>(1000, 5);
  const std::vector<T> b =
      whole_numbers<T>(static_cast<size_t>(2 * most_depths * form.taps * kernel->columns), 7);
  const std::vector<T> zeros(most_depths);
  for (int64_t rows = 1; rows <= kernel->rows; ++rows) {
    const int64_t lanes = kernel->columns / form.vectors;
    for (const int64_t columns : {int64_t{1}, lanes, lanes + 3, 2 * lanes, kernel->columns}) {
      for (const int64_t k : {1, 2, 4, 9}) {
        for (int64_t missing = 0; missing <= form.taps / 2; ++missing) {
          TapTile<T> tile;
          tile.k = k;
          tile.a = a.data();
          tile.a_row_stride = 11;
          tile.runs = k == 4 ? 1 : 2;
          tile.a_run_stride = 500;
          tile.b = b.data();
          tile.c_row_stride = columns + 1;
          tile.rows = rows;
          tile.columns = columns;
          tile.accumulate = k % 2;
          tile.missing_before = missing;
          tile.missing_after = form.taps / 2 - missing;
          tile.zeros = zeros.data();
          expect_sums(*kernel, form, tile);
        }
      }
    }
  }
}

/// Each number of taps in one of its forms, and all forms of three.
template <typename T>
void expect_all_tiles() {
  for (int64_t taps = 2; taps <= most_shared_taps; ++taps) {
    for (int64_t step = 1; step <= most_tap_steps; ++step) {
      for (int64_t vectors = fewest_tap_vectors; vectors <= most_tap_vectors; ++vectors) {
        if (taps == 3 || (taps + step + vectors) % 3 == 0) expect_tiles<T>({taps, step, vectors});
      }
    }
  }
}

TEST(TemplateTapTiles, SumsOverTaps) {
  // Without waiting, portable tiles do the work at first.
  for (const JitMode mode : {JitMode::async, JitMode::sync}) {
    const test::JitModeScope scope(mode);
    expect_all_tiles<float>();
    expect_all_tiles<double>();
  }
}

TEST(TemplateTapTiles, OnlyWhereTapsHaveSomethingToShare) {
  for (const TapForm form : {TapForm{1, 1}, TapForm{2, 2}, TapForm{8, 1}, TapForm{5, 3}, TapForm{3, 2, 2}}) {
    EXPECT_EQ(tap_kernel<float>(form), nullptr) << form.taps << " in steps of " << form.step;
  }
  const test::JitModeScope scope(JitMode::off);
  EXPECT_EQ(tap_kernel<double>({3, 1, 2}), nullptr);
}

}  // namespace
}  // namespace lazuli::templates
