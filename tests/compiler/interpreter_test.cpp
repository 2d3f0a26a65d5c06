#include <lazuli/compiler/interpreter/interpreter.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <lazuli/compiler/interpreter/plan.h>
#include <lazuli/compiler/interpreter/run.h>
#include <lazuli/compiler/kernel_ir/builder.h>

#include "support/random_kernel.h"
#include "support/scalar_kernel.h"

namespace lazuli {
namespace {

using kir::Access;
using kir::Builder;
using kir::Kernel;
using kir::KernelArguments;
using kir::Opcode;
using kir::Role;
using kir::StrideClass;
using kir::Value;

constexpr StrideClass unit = StrideClass::unit;
constexpr StrideClass zero = StrideClass::zero;
constexpr StrideClass any = StrideClass::any;

template <typename T>
std::byte* bytes(std::vector<T>& values) {
  return reinterpret_cast<std::byte*>(values.data());
}

testing::CaseRunner scalar_runner(const Kernel& kernel) {
  return [&kernel](const KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
                   int64_t outer_end, int64_t inner_begin, int64_t inner_end) {
    testing::run_scalar(kernel, arguments, scratch, outer_begin, outer_end, inner_begin, inner_end);
  };
}

/// Runs a kernel with the steps of one instruction set.
testing::CaseRunner plan_runner(const interpreter::Plan& plan) {
  return [&plan](const KernelArguments& arguments, std::byte* scratch, int64_t outer_begin, int64_t outer_end,
                 int64_t inner_begin, int64_t inner_end) {
    interpreter::Run(plan, arguments, scratch, outer_begin, outer_end, inner_begin, inner_end).execute();
  };
}

void compare_with_scalar(const interpreter::StepTable& table, uint64_t first, uint64_t count) {
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const testing::RandomCase random = testing::make_random_case(seed);
    const interpreter::Plan plan = interpreter::make_plan(kir::expand_math(random.kernel), table);
    const auto expected = testing::run_case(random, scalar_runner(random.kernel));
    const auto actual = testing::run_case(random, plan_runner(plan));
    ASSERT_EQ(testing::difference(random, expected, actual), "");
  }
}

TEST(Interpreter, AgreesWithTheDefinitionOnRandomKernels) {
  compare_with_scalar(interpreter::step_table(), 0, 1500);
}

TEST(Interpreter, AgreesWithTheDefinitionOnAnyMachine) {
  compare_with_scalar(interpreter::step_table_baseline(), 1500, 500);
}

#if defined(__x86_64__)
TEST(Interpreter, AgreesWithTheDefinitionWithAvx2) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) GTEST_SKIP();
  compare_with_scalar(interpreter::step_table_avx2(), 2000, 500);
}
#endif

Kernel sum_of_squares(Dtype dtype) {
  Kernel kernel;
  kernel.dims = {Role::parallel, Role::reduce};
  kernel.accesses = {{Access::Kind::input, dtype, {any, any}, 0},
                     {Access::Kind::output, dtype, {unit, zero}, 0}};
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  const Value sum = b.reduce(Opcode::reduce_sum, b.mul(x, x));
  b.begin_block(false);
  b.store(1, sum);
  b.end_block();
  return kernel;
}

TEST(Interpreter, SumsLongRowsAccurately) {
  const int64_t n = 1'000'003;
  std::vector<float> x(static_cast<size_t>(n), 0.1f);
  std::vector<float> out(1);
  std::byte* pointers[] = {bytes(x), bytes(out)};
  const int64_t extents[] = {1, n};
  const int64_t strides[] = {n, 1, 1, 0};
  InterpretedKernel(sum_of_squares(float32)).run({extents, pointers, strides}, nullptr, 0, 1, 0, 1);
  const double square = static_cast<double>(0.1f * 0.1f);
  EXPECT_NEAR(out[0] / (square * static_cast<double>(n)), 1, 1e-6);
}

TEST(Interpreter, SumsLongColumnsAccurately) {
  Kernel kernel;
  kernel.dims = {Role::reduce, Role::parallel};
  kernel.accesses = {{Access::Kind::input, float32, {any, unit}, 0},
                     {Access::Kind::output, float32, {zero, unit}, 0}};
  Builder b(kernel);
  b.begin_block(true);
  const Value sum = b.reduce(Opcode::reduce_sum, b.load(0));
  b.begin_block(false);
  b.store(1, sum);
  b.end_block();
  const InterpretedKernel interpreted(kernel);
  for (int64_t width : {1, 3, 40, 1500}) {
    const int64_t rows = 300'000 / width;
    std::vector<float> x(static_cast<size_t>(rows * width));
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(i % static_cast<size_t>(width) + 1) * 0.3f;
    std::vector<float> out(static_cast<size_t>(width));
    std::byte* pointers[] = {bytes(x), bytes(out)};
    const int64_t extents[] = {rows, width};
    const int64_t strides[] = {width, 1, 0, 1};
    interpreted.run({extents, pointers, strides}, nullptr, 0, 1, 0, width);
    for (int64_t c = 0; c < width; ++c) {
      const double term = static_cast<double>(static_cast<float>(c + 1) * 0.3f);
      ASSERT_NEAR(out[static_cast<size_t>(c)] / (term * static_cast<double>(rows)), 1, 1e-6)
          << width << " " << c;
    }
  }
}

TEST(Interpreter, GivesIdentitiesOfEmptyReductions) {
  const Kernel kernel = kir::parse(R"(
    kernel parallel reduce
    a0 input float32 any unit
    a1 output float32 unit zero
    a2 output float32 unit zero
    a3 output float32 unit zero
    a4 output float32 unit zero
    a5 output int64 unit zero
    block
      %x = load.float32 a0
      %sum = reduce_sum.float32 %x
      %prod = reduce_prod.float32 %x
      %min = reduce_min.float32 %x
      %max = reduce_max.float32 %x
      %arg = reduce_argmax.int64 %x
    point_block
      store.float32 a1, %sum
      store.float32 a2, %prod
      store.float32 a3, %min
      store.float32 a4, %max
      store.int64 a5, %arg
  )");
  kir::verify(kernel);
  std::vector<std::vector<float>> out(4, std::vector<float>(3, 42));
  std::vector<int64_t> position(3, 42);
  std::byte* pointers[] = {nullptr,       bytes(out[0]), bytes(out[1]),
                           bytes(out[2]), bytes(out[3]), bytes(position)};
  const int64_t extents[] = {3, 0};
  const int64_t strides[] = {0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
  InterpretedKernel(kernel).run({extents, pointers, strides}, nullptr, 0, 3, 0, 1);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(out[0], std::vector<float>(3, 0));
  EXPECT_EQ(out[1], std::vector<float>(3, 1));
  EXPECT_EQ(out[2], std::vector<float>(3, infinity));
  EXPECT_EQ(out[3], std::vector<float>(3, -infinity));
  EXPECT_EQ(position, std::vector<int64_t>(3, 0));
}

TEST(Interpreter, FindsTheFirstExtremeAndNaN) {
  Kernel kernel;
  kernel.dims = {Role::parallel, Role::reduce};
  kernel.accesses = {{Access::Kind::input, float32, {any, unit}, 0},
                     {Access::Kind::output, int64, {unit, zero}, 0},
                     {Access::Kind::output, int64, {unit, zero}, 0}};
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  const Value low = b.reduce(Opcode::reduce_argmin, x);
  const Value high = b.reduce(Opcode::reduce_argmax, x);
  b.begin_block(false);
  b.store(1, low);
  b.store(2, high);
  b.end_block();
  const int64_t n = 2500;
  std::vector<float> values(static_cast<size_t>(2 * n), 1.0f);
  values[700] = values[2100] = -5;
  values[1500] = values[1501] = 9;
  values[static_cast<size_t>(n) + 1900] = std::nanf("");
  values[static_cast<size_t>(n) + 3] = -100;
  std::vector<int64_t> lows(2), highs(2);
  std::byte* pointers[] = {bytes(values), bytes(lows), bytes(highs)};
  const int64_t extents[] = {2, n};
  const int64_t strides[] = {n, 1, 1, 0, 1, 0};
  InterpretedKernel(kernel).run({extents, pointers, strides}, nullptr, 0, 2, 0, 1);
  EXPECT_EQ(lows, (std::vector<int64_t>{700, 1900}));
  EXPECT_EQ(highs, (std::vector<int64_t>{1500, 1900}));
}

/// Rows of any length: groups of short ones, a row in several chunks.
TEST(Interpreter, ComputesSoftmaxOfRowsOfAnyLength) {
  Kernel kernel;
  kernel.dims = {Role::parallel, Role::reduce};
  kernel.accesses = {{Access::Kind::input, float32, {any, unit}, 0},
                     {Access::Kind::scratch, float32, {zero, unit}, 0},
                     {Access::Kind::output, float32, {any, unit}, 0}};
  Builder b(kernel);
  b.begin_block(true);
  const Value highest = b.reduce(Opcode::reduce_max, b.load(0));
  b.begin_block(true);
  const Value e = b.math(Opcode::exp, b.sub(b.load(0), highest));
  b.store(1, e);
  const Value sum = b.reduce(Opcode::reduce_sum, e);
  b.begin_block(false);
  const Value inverse = b.div(b.constant(float32, 1), sum);
  b.begin_block(true);
  b.store(2, b.mul(b.load(1), inverse));
  b.end_block();
  const InterpretedKernel interpreted(kernel);
  for (int64_t length : {1, 2, 5, 16, 17, 255, 256, 257, 1024, 1025, 5000}) {
    const int64_t rows = 37;
    std::vector<float> x(static_cast<size_t>(rows * length)), out(x.size());
    std::vector<float> scratch(static_cast<size_t>(length));
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 20;
    std::byte* pointers[] = {bytes(x), nullptr, bytes(out)};
    const int64_t extents[] = {rows, length};
    const int64_t strides[] = {length, 1, 0, 1, length, 1};
    interpreted.run({extents, pointers, strides}, bytes(scratch), 0, rows, 0, 1);
    for (int64_t row = 0; row < rows; ++row) {
      const float* in = x.data() + row * length;
      const float most = *std::max_element(in, in + length);
      double total = 0;
      for (int64_t i = 0; i < length; ++i) total += std::exp(static_cast<double>(in[i]) - most);
      for (int64_t i = 0; i < length; ++i) {
        const double expected = std::exp(static_cast<double>(in[i]) - most) / total;
        ASSERT_NEAR(out[static_cast<size_t>(row * length + i)], expected, 1e-5 * expected) << length;
      }
    }
  }
}

TEST(Interpreter, GathersAndScatters) {
  Kernel kernel;
  kernel.dims = {Role::parallel, Role::parallel};
  kernel.accesses = {{Access::Kind::input, float16, {zero, unit}, 1},
                     {Access::Kind::input, int32, {unit, zero}, 0},
                     {Access::Kind::output, float32, {zero, unit}, 1}};
  Builder b(kernel);
  b.begin_block(true);
  const std::vector<Value> from{b.cast(b.load(1), int64)};
  const std::vector<Value> to{b.sub(b.constant(int64, 39), b.index(0))};
  b.store(2, b.load(0, from), to);
  b.end_block();
  const int64_t n = 40, width = 70, table_rows = 11;
  std::vector<float16_t> table;
  for (int i = 0; i < table_rows * width; ++i) table.emplace_back(i);
  std::vector<int32_t> rows(static_cast<size_t>(n));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i * 7 % 11);
  std::vector<float> out(static_cast<size_t>(n * width));
  std::byte* pointers[] = {bytes(table), bytes(rows), bytes(out)};
  const int64_t extents[] = {n, width};
  const int64_t strides[] = {0, 1, width, 1, 0, 0, 1, width};
  InterpretedKernel(kernel).run({extents, pointers, strides}, nullptr, 0, n, 0, width);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      const auto expected =
          static_cast<float>(table[static_cast<size_t>(rows[static_cast<size_t>(i)] * width + j)]);
      ASSERT_EQ(out[static_cast<size_t>((n - 1 - i) * width + j)], expected);
    }
  }
}

TEST(Interpreter, ConvertsEveryHalfExactly) {
  Kernel kernel;
  kernel.dims = {Role::parallel};
  kernel.accesses = {{Access::Kind::input, float32, {unit}, 0},
                     {Access::Kind::output, float16, {unit}, 0},
                     {Access::Kind::output, bfloat16, {unit}, 0},
                     {Access::Kind::output, float32, {unit}, 0}};
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  b.store(1, x);
  b.store(2, x);
  b.store(3, b.round_to(x, float16));
  b.end_block();
  std::vector<float> values;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 65521) {
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (uint32_t half = 0; half < 65536; ++half) {
    // Each half-precision number, and the midpoint to its neighbour.
    const float value = half_detail::float16_bits_to_float(static_cast<uint16_t>(half));
    values.push_back(value);
    values.push_back(std::bit_cast<float>(std::bit_cast<uint32_t>(value) + 0x1000u));
  }
  const auto n = static_cast<int64_t>(values.size());
  std::vector<uint16_t> halves(values.size()), brains(values.size());
  std::vector<float> rounded(values.size());
  std::byte* pointers[] = {bytes(values), bytes(halves), bytes(brains), bytes(rounded)};
  const int64_t strides[] = {1, 1, 1, 1};
  InterpretedKernel(kernel).run({&n, pointers, strides}, nullptr, 0, 1, 0, n);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = half_detail::float_to_float16_bits(values[i]);
    const uint16_t brain = half_detail::float_to_bfloat16_bits(values[i]);
    if (std::isnan(values[i])) {
      ASSERT_TRUE(std::isnan(half_detail::float16_bits_to_float(halves[i])));
      ASSERT_TRUE(std::isnan(half_detail::bfloat16_bits_to_float(brains[i])));
      continue;
    }
    ASSERT_EQ(halves[i], half) << values[i];
    ASSERT_EQ(brains[i], brain) << values[i];
    ASSERT_EQ(rounded[i], half_detail::float16_bits_to_float(half)) << values[i];
  }
}

TEST(Interpreter, RunsOnSeveralThreads) {
  const InterpretedKernel interpreted(sum_of_squares(float64));
  const int64_t rows = 400, length = 333;
  std::vector<double> x(static_cast<size_t>(rows * length)), out(static_cast<size_t>(rows));
  std::iota(x.begin(), x.end(), 0.0);
  std::byte* pointers[] = {bytes(x), bytes(out)};
  const int64_t extents[] = {rows, length};
  const int64_t strides[] = {length, 1, 1, 0};
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t row = t * 100; row < t * 100 + 100; row += 10) {
        interpreted.run({extents, pointers, strides}, nullptr, row, row + 10, 0, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int64_t row = 0; row < rows; ++row) {
    double expected = 0;
    for (int64_t i = 0; i < length; ++i) {
      const double value = x[static_cast<size_t>(row * length + i)];
      expected += value * value;
    }
    ASSERT_NEAR(out[static_cast<size_t>(row)] / std::max(expected, 1.0), 1, 1e-12);
  }
}

}  // namespace
}  // namespace lazuli
