// Kernels that move data: transposed, reversed and sliced rows, rows picked by an index; with plain stores
// and with such as go past the caches.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/compiled_kernel.h"

namespace lazuli {
namespace {

using testing::Compiled;

/// Elements whose rows begin at cache lines.
template <typename T>
class Aligned {
 public:
  explicit Aligned(int64_t count) : memory_(static_cast<size_t>(count) + 64 + 64 / sizeof(T)) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    begin_ = memory_.data() + (64 - address % 64) % 64 / sizeof(T);
  }
  T* data() const { return begin_; }
  T& operator[](int64_t i) const { return begin_[i]; }

 private:
  mutable std::vector<T> memory_;
  T* begin_ = nullptr;
};

template <typename T>
T value(int64_t i) {
  return static_cast<T>(i * 2654435761 % 65521);
}

std::string copy_text(const std::string& dtype, const std::string& dims, const char* in, const char* out) {
  const std::string computed = dtype == "bfloat16" || dtype == "float16" ? "float32" : dtype;
  return "kernel" + dims + "\na0 input " + dtype + ' ' + in + "\na1 output " + dtype + ' ' + out +
         "\nblock\n  %0 = load." + computed + " a0\n  store." + computed + " a1, %0";
}

/// The extent of rows that are stored past the caches, which begin at cache lines.
template <typename T>
int64_t padded(int64_t columns) {
  const auto line = static_cast<int64_t>(64 / sizeof(T));
  return (columns + line - 1) / line * line;
}

template <typename T>
void check_transposed(const char* dtype) {
  for (const bool streaming : {false, true}) {
    const Compiled copy(copy_text(dtype, " parallel parallel", "unit any", "any unit"), streaming);
    for (const int64_t rows : {0, 1, 15, 16, 33, 64, 1100, 4200}) {
      for (const int64_t columns : {1, 7, 16, 31, 64, 129}) {
        const int64_t width = padded<T>(columns);
        const Aligned<T> in(rows * columns);
        const Aligned<T> out(rows * width);
        for (int64_t i = 0; i < rows * columns; ++i) in[i] = value<T>(i);
        for (int64_t i = 0; i < rows * width; ++i) out[i] = T{99};
        const std::vector<Compiled::Binding> bindings = {{in.data(), {1, rows}}, {out.data(), {width, 1}}};
        // In parts, as threads do it.
        const int64_t third = rows / 3;
        copy.run({rows, columns}, bindings, 0, columns, 0, third);
        copy.run({rows, columns}, bindings, 0, columns, third, rows);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < width; ++c) {
            ASSERT_EQ(out[r * width + c], c < columns ? value<T>(c * rows + r) : T{99})
                << dtype << ' ' << rows << " x " << columns << " at " << r << ", " << c;
          }
        }
      }
    }
  }
}

TEST(Movement, TransposedOfEveryWidth) {
  check_transposed<int8_t>("int8");
  check_transposed<int16_t>("int16");
  check_transposed<uint16_t>("bfloat16");  // bits, among them those of NaNs and subnormal numbers
  check_transposed<float>("float32");
  check_transposed<int64_t>("int64");
}

/// Rows that begin anywhere, whose whole lines are put together; nothing beside them is written.
template <typename T>
void check_joined(const char* dtype) {
  const Compiled copy(kir::parse(copy_text(dtype, " parallel parallel", "unit any", "any unit")),
                      Compiled::options_of(false, true));
  for (const int64_t rows : {1, 15, 16, 33, 600, 1100}) {
    for (const int64_t columns : {1, 7, 16, 17, 31, 32, 64, 129, 300}) {
      for (const int64_t beside : {0, 3, 5}) {
        const int64_t width = columns + beside;
        const Aligned<T> in(rows * columns);
        const Aligned<T> out(rows * width + 32);
        for (int64_t i = 0; i < rows * columns; ++i) in[i] = value<T>(i);
        for (int64_t i = 0; i < rows * width + 32; ++i) out[i] = T{99};
        const std::vector<Compiled::Binding> bindings = {{in.data(), {1, rows}},
                                                         {out.data() + 16 + beside, {width, 1}}};
        // In parts, as threads do it, of rows and within one.
        const int64_t third = rows / 3;
        copy.run({rows, columns}, bindings, 0, columns, 0, third);
        copy.run({rows, columns}, bindings, 0, columns / 2, third, third + 1);
        copy.run({rows, columns}, bindings, columns / 2, columns, third, third + 1);
        copy.run({rows, columns}, bindings, 0, columns, third + 1, rows);
        for (int64_t i = 0; i < rows * width + 32; ++i) {
          const int64_t at = i - 16 - beside;
          const bool written = at >= 0 && at < rows * width && at % width < columns;
          ASSERT_EQ(out[i], written ? value<T>(at % width * rows + at / width) : T{99})
              << dtype << ' ' << rows << " x " << columns << " at " << at;
        }
      }
    }
  }
}

TEST(Movement, TransposedRowsThatDoNotBeginAtLines) {
  check_joined<float>("float32");
  check_joined<int32_t>("int32");
  check_joined<int16_t>("int16");  // as ever
}

/// Two that lie the other way round, which are computed with from buffers.
template <typename T>
void check_transposed_difference(const std::string& dtype) {
  const std::string text = "kernel parallel parallel\na0 input " + dtype + " unit any\na1 input " + dtype +
                           " unit any\na2 output " + dtype + " any unit\nblock\n  %0 = load." + dtype +
                           " a0\n  %1 = load." + dtype + " a1\n  %2 = sub." + dtype + " %0, %1\n  store." +
                           dtype + " a2, %2";
  for (const bool streaming : {false, true}) {
    const Compiled difference(text, streaming);
    for (const int64_t rows : {16, 63, 64, 200}) {
      for (const int64_t columns : {32, 64, 128, 192}) {
        const Aligned<T> x(rows * columns), y(rows * columns), out(rows * columns);
        for (int64_t i = 0; i < rows * columns; ++i) x[i] = value<T>(i);
        for (int64_t i = 0; i < rows * columns; ++i) y[i] = value<T>(7 * i + 3);
        difference.run({rows, columns},
                       {{x.data(), {1, rows}}, {y.data(), {1, rows}}, {out.data(), {columns, 1}}}, 0, columns,
                       0, rows);
        for (int64_t i = 0; i < rows * columns; ++i) {
          const int64_t from = i % columns * rows + i / columns;
          ASSERT_EQ(out[i], static_cast<T>(value<T>(from) - value<T>(7 * from + 3)))
              << dtype << ' ' << rows << " x " << columns << " at " << i;
        }
      }
    }
  }
}

TEST(Movement, DifferencesOfTransposedSmallElements) {
  check_transposed_difference<int8_t>("int8");
  check_transposed_difference<uint16_t>("uint16");
}

TEST(Movement, TransposedPartsOfRows) {
  const Compiled copy(copy_text("float32", " parallel parallel", "unit any", "any unit"), true);
  const int64_t rows = 70, columns = 320;
  const Aligned<float> in(rows * columns), out(rows * columns);
  for (int64_t i = 0; i < rows * columns; ++i) in[i] = value<float>(i);
  const std::vector<Compiled::Binding> bindings = {{in.data(), {1, rows}}, {out.data(), {columns, 1}}};
  for (const auto& [begin, end] : {std::pair(0, 64), std::pair(64, 192), std::pair(192, 320)}) {
    copy.run({rows, columns}, bindings, begin, end, 0, rows);
  }
  for (int64_t i = 0; i < rows * columns; ++i) {
    ASSERT_EQ(out[i], value<float>(i % columns * rows + i / columns)) << i;
  }
}

TEST(Movement, FirstAndLastAxisSwapped) {
  // The input's contiguous dimension is not the one next to the vectors'.
  for (const bool streaming : {false, true}) {
    const Compiled copy(copy_text("float32", " parallel parallel parallel", "unit any any", "any any unit"),
                        streaming);
    for (const int64_t a : {1, 16, 35, 64, 70, 256}) {
      for (const int64_t b : {1, 3, 20}) {
        for (const int64_t c : {16, 48, 80}) {
          const Aligned<float> in(a * b * c), out(a * b * c);
          for (int64_t i = 0; i < a * b * c; ++i) in[i] = value<float>(i);
          const std::vector<Compiled::Binding> bindings = {{in.data(), {1, a, a * b}},
                                                           {out.data(), {b * c, c, 1}}};
          const int64_t cut = a * b / 2;
          copy.run({a, b, c}, bindings, 0, c, 0, cut);
          copy.run({a, b, c}, bindings, 0, c, cut, a * b);
          for (int64_t i = 0; i < a * b * c; ++i) {
            const int64_t from = i % c * a * b + i / c % b * a + i / (b * c);
            ASSERT_EQ(out[i], value<float>(from)) << a << ' ' << b << ' ' << c << " at " << i;
          }
        }
      }
    }
  }
}

TEST(Movement, SumsWithTransposedMatrices) {
  // One that lies the other way round is computed with from registers, two from buffers; each row has a
  // number of its own, the runs along the first dimension share what does not move along it.
  const std::string head = R"(kernel parallel parallel parallel
a0 input float32 any any unit
a1 input float32 zero unit any
a2 input float32 any unit any
a3 input float32 zero unit zero
a4 output float32 any any unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
)";
  const std::string one = R"(  %2 = load.float32 a3
  %3 = add.float32 %0, %1
  %4 = add.float32 %3, %2
  store.float32 a4, %4)";
  const std::string two = R"(  %2 = load.float32 a3
  %3 = add.float32 %0, %1
  %4 = add.float32 %3, %2
  %5 = load.float32 a2
  %6 = add.float32 %4, %5
  store.float32 a4, %6)";
  for (const bool streaming : {false, true}) {
    for (const bool both : {false, true}) {
      const Compiled sum(head + (both ? two : one), streaming);
      for (const int64_t rows : {1, 16, 50, 64, 600}) {
        for (const int64_t columns : {16, 48, 144}) {
          const int64_t count = 5;
          const int64_t size = rows * columns;
          const Aligned<float> x(count * size), y(size), z(count * size), w(rows), out(count * size);
          for (int64_t i = 0; i < count * size; ++i) x[i] = value<float>(i);
          for (int64_t i = 0; i < count * size; ++i) z[i] = value<float>(i + 77);
          for (int64_t i = 0; i < size; ++i) y[i] = value<float>(3 * i);
          for (int64_t i = 0; i < rows; ++i) w[i] = value<float>(5 * i);
          const std::vector<Compiled::Binding> bindings = {{x.data(), {size, columns, 1}},
                                                           {y.data(), {0, 1, rows}},
                                                           {z.data(), {size, 1, rows}},
                                                           {w.data(), {0, 1, 0}},
                                                           {out.data(), {size, columns, 1}}};
          const int64_t cut = rows + rows / 3;
          sum.run({count, rows, columns}, bindings, 0, columns, 0, cut);
          sum.run({count, rows, columns}, bindings, 0, columns, cut, count * rows);
          for (int64_t i = 0; i < count * size; ++i) {
            const int64_t row = i / columns % rows;
            const int64_t turned = i % columns * rows + row;
            const float expected = x[i] + y[turned] + w[row] + (both ? z[i / size * size + turned] : 0.0f);
            ASSERT_EQ(out[i], expected) << rows << " x " << columns << (both ? ", two" : "") << " at " << i;
          }
        }
      }
    }
  }
}

template <typename T>
void check_rows(const char* dtype) {
  for (const bool streaming : {false, true}) {
    const Compiled copy(copy_text(dtype, " parallel parallel", "any any", "any unit"), streaming);
    for (const int64_t step : {-1, 1, -2, 3}) {
      for (const int64_t rows : {1, 5, 200}) {
        for (const int64_t columns : {1, 15, 64, 77, 300}) {
          const int64_t width = padded<T>(columns);
          const int64_t span = columns * std::abs(step);
          const Aligned<T> in(rows * span), out(rows * width);
          for (int64_t i = 0; i < rows * span; ++i) in[i] = value<T>(i);
          const int64_t first = step > 0 ? 0 : span - 1;
          copy.run({rows, columns}, {{in.data() + first, {span, step}}, {out.data(), {width, 1}}});
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < columns; ++c) {
              ASSERT_EQ(out[r * width + c], value<T>(r * span + first + c * step))
                  << dtype << ' ' << step << " at " << r << ", " << c;
            }
          }
        }
      }
    }
  }
}

TEST(Movement, ReversedAndStridedRows) {
  check_rows<int8_t>("int8");
  check_rows<int16_t>("int16");
  check_rows<uint16_t>("float16");
  check_rows<float>("float32");
  check_rows<double>("float64");
}

TEST(Movement, RowsPickedByAnIndexAndHeadsThatChangePlaces) {
  for (const bool streaming : {false, true}) {
    const Compiled take(R"(kernel parallel parallel
a0 input int64 any zero
a1 input float32 zero unit dynamic=1
a2 output float32 any unit
block
  %0 = load.int64 a0
  %1 = load.float32 a1, %0
  store.float32 a2, %1)",
                        streaming);
    const Compiled put(R"(kernel parallel parallel
a0 input int64 any zero
a1 input float32 any unit
a2 output float32 zero unit dynamic=1
block
  %0 = load.int64 a0
  %1 = load.float32 a1
  store.float32 a2, %1, %0)",
                       streaming);
    for (const int64_t rows : {1, 2, 100}) {
      for (const int64_t columns : {1, 16, 64, 70, 300, 1040, 2500, 4096}) {
        if (streaming && columns % 16 != 0) continue;
        const int64_t table_rows = 9;
        const Aligned<float> table(table_rows * columns), out(rows * columns);
        std::vector<int64_t> picks;
        for (int64_t r = 0; r < rows; ++r) picks.push_back((r * 7 + 8) % table_rows);
        for (int64_t i = 0; i < table_rows * columns; ++i) table[i] = value<float>(i);
        take.run({rows, columns},
                 {{picks.data(), {1, 0}}, {table.data(), {0, 1, columns}}, {out.data(), {columns, 1}}});
        for (int64_t i = 0; i < rows * columns; ++i) {
          ASSERT_EQ(out[i], value<float>(picks[static_cast<size_t>(i / columns)] * columns + i % columns))
              << i;
        }
        // And put where an index says: each row but the last one at the place before.
        const Aligned<float> placed(rows * columns);
        std::vector<int64_t> places;
        for (int64_t r = 0; r < rows; ++r) places.push_back((r + rows - 1) % rows);
        put.run({rows, columns},
                {{places.data(), {1, 0}}, {out.data(), {columns, 1}}, {placed.data(), {0, 1, columns}}});
        for (int64_t i = 0; i < rows * columns; ++i) {
          ASSERT_EQ(placed[i], out[(i + columns) % (rows * columns)]) << i;
        }
      }
    }

    const Compiled swap(copy_text("float32", " parallel parallel parallel", "any any unit", "any any unit"),
                        streaming);
    const int64_t tokens = 33, heads = 5, dim = 64;
    const Aligned<float> in(tokens * heads * dim), out(tokens * heads * dim);
    for (int64_t i = 0; i < tokens * heads * dim; ++i) in[i] = value<float>(i);
    swap.run({heads, tokens, dim},
             {{in.data(), {dim, heads * dim, 1}}, {out.data(), {tokens * dim, dim, 1}}});
    for (int64_t i = 0; i < tokens * heads * dim; ++i) {
      const int64_t from = (i / dim % tokens * heads + i / (tokens * dim)) * dim + i % dim;
      ASSERT_EQ(out[i], value<float>(from)) << i;
    }
  }
}

}  // namespace
}  // namespace lazuli
