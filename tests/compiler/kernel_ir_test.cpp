#include <lazuli/compiler/kernel_ir/kernel.h>

#include <complex>
#include <functional>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/kernel_ir/fold.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

#include "support/random_kernel.h"
#include "support/scalar_kernel.h"

namespace lazuli::kir {
namespace {

constexpr StrideClass unit = StrideClass::unit;
constexpr StrideClass zero = StrideClass::zero;
constexpr StrideClass any = StrideClass::any;

/// A kernel of one parallel dimension with inputs of the given dtypes and, last, an output.
Kernel flat_kernel(const std::vector<Dtype>& inputs, Dtype output) {
  Kernel kernel;
  kernel.dims = {Role::parallel};
  for (Dtype dtype : inputs) kernel.accesses.push_back({Access::Kind::input, dtype, {unit}, 0});
  kernel.accesses.push_back({Access::Kind::output, output, {unit}, 0});
  return kernel;
}

int count(const Kernel& kernel, Opcode op) {
  int n = 0;
  for (const Instruction& instruction : kernel.instructions) n += instruction.op == op ? 1 : 0;
  return n;
}

TEST(Dtypes, PromoteAsInMlx) {
  EXPECT_EQ(promote_types(bool_, bfloat16), bfloat16);
  EXPECT_EQ(promote_types(bool_, bool_), bool_);
  EXPECT_EQ(promote_types(uint8, int8), int16);
  EXPECT_EQ(promote_types(uint8, int32), int32);
  EXPECT_EQ(promote_types(uint16, int16), int32);
  EXPECT_EQ(promote_types(uint32, int8), int64);
  EXPECT_EQ(promote_types(uint64, int8), float32);
  EXPECT_EQ(promote_types(int64, uint64), float32);
  EXPECT_EQ(promote_types(uint16, uint64), uint64);
  EXPECT_EQ(promote_types(int64, float16), float16);
  EXPECT_EQ(promote_types(float16, bfloat16), float32);
  EXPECT_EQ(promote_types(float16, float64), float64);
  EXPECT_EQ(promote_types(float64, complex64), complex64);
  for (int a = 0; a < dtype_count; ++a) {
    for (int b = 0; b < dtype_count; ++b) {
      const Dtype x = dtype_from_value(static_cast<Dtype::Val>(a));
      const Dtype y = dtype_from_value(static_cast<Dtype::Val>(b));
      EXPECT_EQ(promote_types(x, y), promote_types(y, x));
    }
  }
}

TEST(Dtypes, HaveNamesAndCategories) {
  for (int i = 0; i < dtype_count; ++i) {
    const Dtype t = dtype_from_value(static_cast<Dtype::Val>(i));
    EXPECT_EQ(dtype_from_name(dtype_name(t)), t);
    std::ostringstream os;
    os << t;
    EXPECT_EQ(os.str(), dtype_name(t));
  }
  EXPECT_EQ(dtype_name(bool_), "bool");
  EXPECT_THROW(dtype_from_name("float8"), std::invalid_argument);
  EXPECT_TRUE(issubdtype(bfloat16, floating));
  EXPECT_TRUE(issubdtype(complex64, inexact));
  EXPECT_TRUE(issubdtype(uint8, integer));
  EXPECT_TRUE(issubdtype(signedinteger, number));
  EXPECT_FALSE(issubdtype(bool_, number));
  EXPECT_FALSE(issubdtype(int8, unsignedinteger));
  EXPECT_FALSE(issubdtype(generic, number));
}

TEST(KernelText, ReadsBackWhatItWrote) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Kernel kernel = testing::make_random_case(seed).kernel;
    const Kernel read = parse(to_text(kernel));
    ASSERT_EQ(read, kernel) << to_text(kernel);
    ASSERT_EQ(serialize(read), serialize(kernel));
  }
}

TEST(KernelText, TakesNamesAndComments) {
  const Kernel kernel = parse(R"(
    kernel parallel reduce   # rows
    a0 input float16 any unit
    a1 output float32 unit zero
    block
      %x = load.float32 a0
      %half = constant.float32 0x3f000000
      %y = mul.float32 %x, %half
      %sum = reduce_sum.float32 %y
    point_block
      store.float32 a1, %sum
  )");
  verify(kernel);
  ASSERT_EQ(kernel.blocks.size(), 2u);
  EXPECT_EQ(kernel.blocks[0].end, 4u);
  EXPECT_FALSE(kernel.blocks[1].per_element);
  EXPECT_EQ(kernel.instructions[2].operands, (std::vector<ValueId>{0, 1}));
}

TEST(KernelText, NamesTheFaultyLine) {
  EXPECT_THROW(parse("kernel parallel\nblock\n%0 = frob.float32 %1\n"), std::invalid_argument);
  EXPECT_THROW(parse("kernel sideways\n"), std::invalid_argument);
  try {
    parse("kernel parallel\na0 input float32 unit\nblock\n  %0 = neg.float32 %7\n");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("Line 4"), std::string::npos) << error.what();
  }
}

TEST(Serialize, TellsKernelsApart) {
  const Kernel kernel = parse(
      "kernel parallel\na0 output float32 unit\nblock\n%0 = constant.float32 0x1\nstore.float32 a0, %0\n");
  Kernel other = kernel;
  other.instructions[0].imm = 2;
  EXPECT_NE(serialize(kernel), serialize(other));
  other = kernel;
  other.accesses[0].strides[0] = any;
  EXPECT_NE(serialize(kernel), serialize(other));
  other = kernel;
  other.blocks[0].per_element = false;
  EXPECT_NE(serialize(kernel), serialize(other));
}

/// Malformed kernels, and a word of what is said of each.
TEST(Verify, RefusesMalformedKernels) {
  const std::string head =
      "kernel parallel reduce\na0 input float32 any unit\na1 output float32 unit zero\nblock\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"%0 = load.float32 a0\n%1 = constant.float64 0x0\n%2 = add.float32 %0, %1\n", "differ in type"},
      {"%0 = load.float32 a0\n%1 = bit_not.float32 %0\n", "not defined"},
      {"%0 = load.float32 a0\n%1 = neg.float64 %0\n", "result type"},
      {"%0 = load.float32 a0\n%1 = add.float32 %0\n", "operands"},
      {"%0 = load.float64 a0\n", "for an access"},
      {"%0 = load.float32 a7\n", "no access"},
      {"%0 = load.float32 a0\nstore.float32 a0, %0\n", "input"},
      {"%0 = load.float32 a0\npoint_block\nstore.float32 a1, %0\n", "per-element block"},
      {"%0 = load.float32 a0\n%1 = reduce_sum.float32 %0\nstore.float32 a1, %1\n",
       "reduction of the same block"},
      {"point_block\n%0 = load.float32 a0\n", "reduce dimension"},
      {"point_block\n%0 = index.int64 1\n", "reduced"},
      {"point_block\n%0 = constant.float32 0x0\n%1 = reduce_sum.float32 %0\n", "not per element"},
      {"%0 = constant.bool 0x2\n", "too wide"},
      {"%0 = constant.float16 0x2\n", "compute type"},
      {"%0 = index.int64 2\n", "no dimension"},
      {"%0 = load.float32 a0\n%1 = bitcast.int64 %0\n", "result type"},
      {"%0 = constant.float64 0x0\n%1 = round_to.float64 float16, %0\n", "result type"},
      {"%0 = load.float32 a0\n%1 = select.float32 %0, %0, %0\n", "not bool"},
  };
  for (const auto& [text, word] : cases) {
    try {
      verify(parse(head + text));
      ADD_FAILURE() << text;
    } catch (const std::logic_error& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << text << error.what();
    }
  }
  Kernel kernel;
  kernel.dims = {Role::reduce, Role::parallel, Role::parallel};
  EXPECT_THROW(verify(kernel), std::logic_error);
  kernel.dims = {Role::reduce, Role::parallel, Role::reduce};
  EXPECT_THROW(verify(kernel), std::logic_error);
  kernel.dims = {Role::parallel};
  for (const Access::Kind kind : {Access::Kind::scratch, Access::Kind::sums}) {
    kernel.accesses = {{kind, float32, {zero}, 0}};
    EXPECT_THROW(verify(kernel), std::logic_error);
  }
  kernel.dims = {Role::parallel, Role::reduce};
  kernel.accesses = {{Access::Kind::sums, float32, {zero, unit}, 0}};
  EXPECT_NO_THROW(verify(kernel));
  for (const Access& bad : {Access{Access::Kind::sums, float32, {any, unit}, 0},
                            Access{Access::Kind::sums, float32, {zero, zero}, 0},
                            Access{Access::Kind::sums, bfloat16, {zero, unit}, 0},
                            Access{Access::Kind::sums, float32, {zero, unit}, 1}}) {
    kernel.accesses = {bad};
    EXPECT_THROW(verify(kernel), std::logic_error);
  }
}

TEST(Builder, FindsEqualInstructions) {
  Kernel kernel = flat_kernel({float32, float32}, float32);
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  const Value y = b.load(1);
  EXPECT_EQ(b.load(0).id, x.id);
  EXPECT_EQ(b.add(x, y).id, b.add(y, x).id);
  EXPECT_NE(b.sub(x, y).id, b.sub(y, x).id);
  EXPECT_EQ(b.math(Opcode::exp, x).id, b.math(Opcode::exp, x).id);
  b.end_block();
}

TEST(Builder, ReadsAgainWhatWasStored) {
  Kernel kernel = flat_kernel({}, float32);
  Builder b(kernel);
  b.begin_block(true);
  const Value before = b.load(0);
  b.store(0, b.constant(float32, 1));
  EXPECT_NE(b.load(0).id, before.id);
  b.end_block();
}

TEST(Builder, RespectsVisibility) {
  Kernel kernel;
  kernel.dims = {Role::parallel, Role::reduce};
  kernel.accesses = {{Access::Kind::input, float32, {any, unit}, 0},
                     {Access::Kind::input, float32, {unit, zero}, 0},
                     {Access::Kind::output, float32, {any, unit}, 0}};
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  const Value sum = b.reduce(Opcode::reduce_sum, x);
  b.begin_block(false);
  const Value scale = b.load(1);
  const Value one = b.constant(float32, 1);
  const Value shifted = b.add(sum, one);
  b.begin_block(true);
  EXPECT_NE(b.load(0).id, x.id) << "a value of an earlier per-element block";
  EXPECT_EQ(b.load(1).id, scale.id);
  EXPECT_EQ(b.constant(float32, 1).id, one.id);
  EXPECT_EQ(b.add(sum, one).id, shifted.id);
  b.store(2, b.mul(b.load(0), shifted));
  b.end_block();
  EXPECT_NO_THROW(verify(kernel));
}

TEST(Builder, FoldsConstantsAndIdentities) {
  Kernel kernel = flat_kernel({float32, int32, bool_}, float32);
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  const Value i = b.load(1);
  const Value c = b.load(2);
  const auto number = [&](double value) { return b.constant(float32, value); };
  EXPECT_EQ(b.add(number(2), number(3)).id, number(5).id);
  EXPECT_EQ(b.cast(number(-3.7), int32).id, b.constant(int32, -3).id);
  EXPECT_EQ(b.mul(x, number(1)).id, x.id);
  EXPECT_EQ(b.sub(x, number(0)).id, x.id);
  EXPECT_EQ(b.add(x, number(-0.0)).id, x.id);
  EXPECT_NE(b.add(x, number(0)).id, x.id) << "turns -0 into 0";
  EXPECT_NE(b.mul(x, number(0)).id, number(0).id) << "NaN times 0 is NaN";
  EXPECT_EQ(b.mul(i, b.constant(int32, 0)).id, b.constant(int32, 0).id);
  EXPECT_EQ(b.neg(b.neg(x)).id, x.id);
  EXPECT_EQ(b.cast(x, float32).id, x.id);
  EXPECT_EQ(b.select(c, x, x).id, x.id);
  EXPECT_EQ(b.select(b.constant(bool_, 1), x, number(0)).id, x.id);
  EXPECT_EQ(b.bitcast(b.bitcast(x, int32), float32).id, x.id);
  EXPECT_EQ(b.unary(Opcode::floor, i).id, i.id);
  b.end_block();
}

TEST(Builder, ChecksTypes) {
  Kernel kernel = flat_kernel({float32, int32}, float32);
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  const Value i = b.load(1);
  EXPECT_THROW(b.add(x, i), std::logic_error);
  EXPECT_THROW(b.math(Opcode::exp, i), std::logic_error);
  EXPECT_THROW(b.binary(Opcode::bit_and, x, x), std::logic_error);
  EXPECT_THROW(b.bitcast(x, int64), std::logic_error);
  EXPECT_THROW(b.math(Opcode::erf, b.cast(x, complex64)), std::logic_error);
  b.end_block();
  EXPECT_THROW(b.add(x, x), std::logic_error) << "no block is open";
}

TEST(Fold, IntegersWrapAndDivideAsDefined) {
  const auto value = [](Opcode op, Dtype type, int64_t a, int64_t b) {
    const uint64_t mask = type.size() == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * type.size())) - 1;
    const uint64_t operands[] = {static_cast<uint64_t>(a) & mask, static_cast<uint64_t>(b) & mask};
    const uint64_t bits = fold({op, type, 0, {0, 1}}, type, operands).value();
    return type == int8 ? static_cast<int64_t>(static_cast<int8_t>(bits)) : static_cast<int64_t>(bits);
  };
  EXPECT_EQ(value(Opcode::add, int8, 127, 1), -128);
  EXPECT_EQ(value(Opcode::mul, uint16, 65535, 65535), 1);
  EXPECT_EQ(value(Opcode::div, int8, -128, -1), -128);
  EXPECT_EQ(value(Opcode::rem, int8, -128, -1), 0);
  EXPECT_EQ(value(Opcode::div, int8, 5, 0), 0);
  EXPECT_EQ(value(Opcode::rem, uint64, 5, 0), 0);
  EXPECT_EQ(value(Opcode::div, int8, -7, 2), -3);
  EXPECT_EQ(value(Opcode::rem, int8, -7, 2), -1);
  EXPECT_EQ(value(Opcode::shift_left, uint32, 1, 32), 0);
  EXPECT_EQ(value(Opcode::shift_right, int8, -5, 100), -1);
  EXPECT_EQ(value(Opcode::shift_right, int8, 5, -1), 0);
}

TEST(Fold, FloatsSaturateAndKeepNaN) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto to_int = [](double value, Dtype type) {
    const uint64_t bits[] = {scalar::to_bits(value)};
    return fold({Opcode::cast, type, 0, {0}}, float64, bits).value();
  };
  EXPECT_EQ(to_int(nan, int32), 0u);
  EXPECT_EQ(to_int(1e10, int32), 0x7fffffffu);
  EXPECT_EQ(to_int(-1e10, int32), 0x80000000u);
  EXPECT_EQ(to_int(-0.9, uint8), 0u);
  EXPECT_EQ(to_int(-5, uint8), 0u);
  EXPECT_EQ(to_int(300, uint8), 255u);
  EXPECT_EQ(to_int(1e30, uint64), ~uint64_t{0});
  EXPECT_EQ(to_int(9.3e18, int64), 0x7fffffffffffffffu);
  EXPECT_EQ(to_int(nan, bool_), 1u);
  const uint64_t operands[] = {scalar::to_bits(nan), scalar::to_bits(1.0)};
  for (Opcode op : {Opcode::min, Opcode::max}) {
    const uint64_t bits = fold({op, float64, 0, {0, 1}}, float64, operands).value();
    EXPECT_TRUE(std::isnan(scalar::from_bits<double>(bits)));
  }
}

TEST(Fold, FusedMultiplyAddRoundsOnce) {
  const float a = 1 + 0x1p-12f;
  const uint64_t operands[] = {scalar::to_bits(a), scalar::to_bits(a), scalar::to_bits(-1 - 0x1p-11f)};
  const uint64_t bits = fold({Opcode::fma, float32, 0, {0, 1, 2}}, float32, operands).value();
  EXPECT_EQ(scalar::from_bits<float>(bits), 0x1p-24f);
}

TEST(ExpandMath, LeavesNoMathAndIsIdempotent) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Kernel kernel = testing::make_random_case(seed).kernel;
    const Kernel expanded = expand_math(kernel);
    ASSERT_NO_THROW(verify(expanded)) << to_text(kernel);
    for (const Instruction& instruction : expanded.instructions) ASSERT_FALSE(is_math(instruction.op));
    ASSERT_EQ(expand_math(expanded), expanded) << to_text(kernel);
  }
}

TEST(ExpandMath, ContractsProductsUsedOnce) {
  Kernel kernel = flat_kernel({float32, float32, float32}, float32);
  kernel.accesses.push_back({Access::Kind::output, float32, {unit}, 0});
  Builder b(kernel);
  b.begin_block(true);
  const Value shared = b.mul(b.load(0), b.load(1));
  b.store(3, b.add(b.mul(b.load(0), b.load(2)), b.load(1)));
  b.store(4, b.add(shared, b.mul(shared, b.load(2))));
  b.end_block();
  const Kernel expanded = expand_math(kernel);
  EXPECT_EQ(count(expanded, Opcode::fma), 2);
  EXPECT_EQ(count(expanded, Opcode::mul), 1);
  EXPECT_EQ(count(expanded, Opcode::add), 0);
}

TEST(ExpandMath, ExponentialsOfWhatARowsMaximumIsTakenFromHaveNoLimitAbove) {
  const auto limits = [](const std::string& greatest_of) {
    const std::string text =
        "kernel parallel reduce\na0 input bfloat16 any unit\na1 input bfloat16 any unit\n"
        "a2 output float32 any unit\npoint_block\nblock\n  %0 = load.float32 " +
        greatest_of +
        "\n  %1 = neg.float32 %0\n  %2 = reduce_max.float32 %1\npoint_block\nblock\n"
        "  %3 = load.float32 a0\n  %4 = neg.float32 %3\n  %5 = sub.float32 %4, %2\n"
        "  %6 = exp.float32 %5\n  store.float32 a2, %6\n";
    return count(expand_math(parse(text), MathForm::tables), Opcode::min);
  };
  EXPECT_EQ(limits("a0"), 0);
  EXPECT_EQ(limits("a1"), 1);
}

TEST(ExpandMath, ExponentialsThatAreOnlySummedAreShorter) {
  const auto size = [](const std::string& after) {
    const std::string text =
        "kernel parallel reduce\na0 input float32 any unit\na1 output float32 unit zero\n"
        "a2 output float32 any unit\nblock\n  %0 = load.float32 a0\n  %1 = reduce_max.float32 %0\n"
        "point_block\nblock\n  %2 = load.float32 a0\n  %3 = sub.float32 %2, %1\n"
        "  %4 = exp.float32 %3\n  %5 = reduce_sum.float32 %4\n" +
        after + "point_block\n  store.float32 a1, %5\n";
    return expand_math(parse(text), MathForm::tables).instructions.size();
  };
  EXPECT_LT(size("") + 1, size("  store.float32 a2, %4\n"));  // the store is one more
}

TEST(ExpandMath, ExponentialsAreShorterTooWhereOnlyFiniteMaximaAreSubtracted) {
  const auto size = [](const std::string& limit, const std::string& otherwise) {
    const std::string text =
        "kernel parallel reduce\na0 input float32 any unit\na1 output float32 unit zero\n"
        "block\n  %0 = load.float32 a0\n  %1 = reduce_max.float32 %0\npoint_block\n"
        "  %2 = constant.float32 " +
        limit + "\n  %3 = abs.float32 %1\n  %4 = lt.bool %3, %2\n  %5 = constant.float32 " + otherwise +
        "\n  %6 = select.float32 %4, %1, %5\nblock\n  %7 = load.float32 a0\n  %8 = sub.float32 %7, %6\n"
        "  %9 = exp.float32 %8\n  %10 = reduce_sum.float32 %9\npoint_block\n  store.float32 a1, %10\n";
    return expand_math(parse(text), MathForm::tables).instructions.size();
  };
  const size_t shorter = size("0x7f800000", "0x0");
  EXPECT_LT(shorter, size("0x42c80000", "0x0"));         // of which some are not subtracted
  EXPECT_LT(shorter, size("0x7f800000", "0xc2c80000"));  // -100 instead of an infinity
}

TEST(ExpandMath, RemovesDeadCode) {
  Kernel kernel = flat_kernel({float32}, float32);
  Builder b(kernel);
  b.begin_block(true);
  const Value x = b.load(0);
  b.math(Opcode::sin, x);
  b.store(1, x);
  b.end_block();
  EXPECT_EQ(expand_math(kernel).instructions.size(), 2u);
}

// Complex arithmetic, against std::complex.

using Complex = std::complex<float>;
using WideComplex = std::complex<double>;

std::vector<Complex> run_complex(const std::function<Value(Builder&, Value, Value)>& f,
                                 std::vector<Complex> x, std::vector<Complex> y) {
  Kernel kernel = flat_kernel({complex64, complex64}, complex64);
  Builder b(kernel);
  b.begin_block(true);
  const Value a = b.load(0);
  b.store(2, f(b, a, b.load(1)));
  b.end_block();
  verify(kernel);
  std::vector<Complex> result(x.size());
  const auto n = static_cast<int64_t>(x.size());
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data()),
                           reinterpret_cast<std::byte*>(result.data())};
  const int64_t strides[] = {1, 1, 1};
  testing::run_scalar(kernel, {&n, pointers, strides}, nullptr, 0, 1, 0, n);
  return result;
}

const std::vector<Complex>& sample_numbers() {
  static const std::vector<Complex> numbers{
      {0.5f, 0.25f},   {-0.5f, 0.75f}, {1.5f, -2},     {-3, -0.125f}, {2, 0.0f},      {2, -0.0f},
      {-2, 0.0f},      {-2, -0.0f},    {0.0f, 2},      {-0.0f, 2},    {0.0f, -3},     {0.3f, 0.0f},
      {-0.3f, 0.0f},   {-0.3f, -0.0f}, {1e-3f, 1e-3f}, {7, 5},        {-6.5f, 0.01f}, {0.01f, -5.5f},
      {-1.5f, -1e-4f}, {1.5f, 1e-4f},  {0.999f, 0.04f}};
  return numbers;
}

TEST(ComplexMath, AgreesWithTheStandardLibraryOnBothSidesOfCuts) {
  struct Case {
    Opcode op;
    WideComplex (*reference)(const WideComplex&);
  };
  const std::vector<Case> cases{
      {Opcode::exp, [](const WideComplex& z) { return std::exp(z); }},
      {Opcode::log, [](const WideComplex& z) { return std::log(z); }},
      {Opcode::sqrt, [](const WideComplex& z) { return std::sqrt(z); }},
      {Opcode::sin, [](const WideComplex& z) { return std::sin(z); }},
      {Opcode::cos, [](const WideComplex& z) { return std::cos(z); }},
      {Opcode::tan, [](const WideComplex& z) { return std::tan(z); }},
      {Opcode::sinh, [](const WideComplex& z) { return std::sinh(z); }},
      {Opcode::cosh, [](const WideComplex& z) { return std::cosh(z); }},
      {Opcode::tanh, [](const WideComplex& z) { return std::tanh(z); }},
      {Opcode::asin, [](const WideComplex& z) { return std::asin(z); }},
      {Opcode::acos, [](const WideComplex& z) { return std::acos(z); }},
      {Opcode::atan, [](const WideComplex& z) { return std::atan(z); }},
      {Opcode::asinh, [](const WideComplex& z) { return std::asinh(z); }},
      {Opcode::acosh, [](const WideComplex& z) { return std::acosh(z); }},
      {Opcode::atanh, [](const WideComplex& z) { return std::atanh(z); }},
      {Opcode::log10, [](const WideComplex& z) { return std::log10(z); }},
      {Opcode::rsqrt, [](const WideComplex& z) { return 1.0 / std::sqrt(z); }},
  };
  const std::vector<Complex>& x = sample_numbers();
  for (const Case& c : cases) {
    const auto result = run_complex([&](Builder& b, Value a, Value) { return b.math(c.op, a); }, x, x);
    for (size_t i = 0; i < x.size(); ++i) {
      const WideComplex expected = c.reference(WideComplex(x[i].real(), x[i].imag()));
      const double error = std::abs(WideComplex(result[i].real(), result[i].imag()) - expected);
      EXPECT_LE(error, 3e-6 * std::abs(expected)) << row_of(c.op).name << x[i] << result[i] << expected;
    }
  }
}

TEST(ComplexMath, ArithmeticAndPowers) {
  std::vector<Complex> x = sample_numbers();
  std::vector<Complex> y(x.rbegin(), x.rend());
  const auto check = [&](const char* name, const std::function<Value(Builder&, Value, Value)>& f,
                         const std::function<WideComplex(WideComplex, WideComplex)>& reference) {
    const auto result = run_complex(f, x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const WideComplex expected =
          reference(WideComplex(x[i].real(), x[i].imag()), WideComplex(y[i].real(), y[i].imag()));
      const double error = std::abs(WideComplex(result[i].real(), result[i].imag()) - expected);
      EXPECT_LE(error, 2e-5 * std::abs(expected) + 1e-30) << name << x[i] << y[i] << result[i] << expected;
    }
  };
  check(
      "add", [](Builder& b, Value p, Value q) { return b.add(p, q); }, std::plus<WideComplex>());
  check(
      "mul", [](Builder& b, Value p, Value q) { return b.mul(p, q); }, std::multiplies<WideComplex>());
  check(
      "div", [](Builder& b, Value p, Value q) { return b.div(p, q); }, std::divides<WideComplex>());
  check(
      "pow", [](Builder& b, Value p, Value q) { return b.math(Opcode::pow, p, q); },
      [](WideComplex p, WideComplex q) { return std::pow(p, q); });
  check(
      "abs", [](Builder& b, Value p, Value) { return b.abs(p); },
      [](WideComplex p, WideComplex) { return WideComplex(std::abs(p)); });
  check(
      "lt", [](Builder& b, Value p, Value q) { return b.cast(b.lt(p, q), float32); },
      [](WideComplex p, WideComplex q) {
        return WideComplex(p.real() < q.real() || (p.real() == q.real() && p.imag() < q.imag()) ? 1 : 0);
      });
}

TEST(ComplexMath, StaysInRange) {
  const std::vector<Complex> x{{3e38f, 3e38f}, {1e-38f, -1e-38f}, {0, 0}, {1e30f, 1e-30f}, {1e38f, -1e38f}};
  const auto modulus = run_complex([](Builder& b, Value p, Value) { return b.abs(p); }, x, x);
  EXPECT_TRUE(std::isinf(modulus[0].real()));
  EXPECT_FLOAT_EQ(modulus[1].real(), 1.41421356e-38f);
  EXPECT_EQ(modulus[2].real(), 0);
  const auto quotient = run_complex([](Builder& b, Value p, Value q) { return b.div(p, q); }, x, x);
  for (size_t i : {1, 3, 4}) EXPECT_NEAR(std::abs(quotient[i] - Complex(1, 0)), 0, 1e-6) << i;
  const auto root = run_complex([](Builder& b, Value p, Value) { return b.math(Opcode::sqrt, p); }, x, x);
  EXPECT_NEAR(root[0].real() / 1.9029e19, 1, 1e-4);
  const auto logarithm = run_complex([](Builder& b, Value p, Value) { return b.math(Opcode::log, p); }, x, x);
  EXPECT_NEAR(logarithm[0].real(), std::log(std::hypot(3e38, 3e38)), 1e-5);
}

}  // namespace
}  // namespace lazuli::kir
