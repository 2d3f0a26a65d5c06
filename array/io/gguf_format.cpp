#include <lazuli/array/io/gguf_format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace lazuli::gguf {

namespace {

constexpr std::pair<ValueType, Dtype> value_types[] = {
    {ValueType::uint8, uint8},     {ValueType::int8, int8},       {ValueType::uint16, uint16},
    {ValueType::int16, int16},     {ValueType::uint32, uint32},   {ValueType::int32, int32},
    {ValueType::float32, float32}, {ValueType::boolean, bool_},   {ValueType::uint64, uint64},
    {ValueType::int64, int64},     {ValueType::float64, float64},
};

constexpr TensorType tensor_types[] = {
    {0, "F32", float32, 1, 4},
    {1, "F16", float16, 1, 2},
    {2, "Q4_0", std::nullopt, 32, 18},
    {3, "Q4_1", std::nullopt, 32, 20},
    {6, "Q5_0", std::nullopt, 32, 22},
    {7, "Q5_1", std::nullopt, 32, 24},
    {8, "Q8_0", std::nullopt, 32, 34},
    {9, "Q8_1", std::nullopt, 32, 36},
    {10, "Q2_K", std::nullopt, 256, 84},
    {11, "Q3_K", std::nullopt, 256, 110},
    {12, "Q4_K", std::nullopt, 256, 144},
    {13, "Q5_K", std::nullopt, 256, 176},
    {14, "Q6_K", std::nullopt, 256, 210},
    {15, "Q8_K", std::nullopt, 256, 292},
    {16, "IQ2_XXS", std::nullopt, 256, 0},
    {17, "IQ2_XS", std::nullopt, 256, 0},
    {18, "IQ3_XXS", std::nullopt, 256, 0},
    {19, "IQ1_S", std::nullopt, 256, 0},
    {20, "IQ4_NL", std::nullopt, 32, 0},
    {21, "IQ3_S", std::nullopt, 256, 0},
    {22, "IQ2_S", std::nullopt, 256, 0},
    {23, "IQ4_XS", std::nullopt, 256, 0},
    {24, "I8", int8, 1, 1},
    {25, "I16", int16, 1, 2},
    {26, "I32", int32, 1, 4},
    {27, "I64", int64, 1, 8},
    {28, "F64", float64, 1, 8},
    {29, "IQ1_M", std::nullopt, 256, 0},
    {30, "BF16", bfloat16, 1, 2},
    {34, "TQ1_0", std::nullopt, 256, 0},
    {35, "TQ2_0", std::nullopt, 256, 0},
    {39, "MXFP4", std::nullopt, 32, 0},
};

template <typename Rows, typename Test>
auto* find_row(Rows& rows, Test test) {
  const auto found = std::find_if(std::begin(rows), std::end(rows), test);
  return found == std::end(rows) ? nullptr : &*found;
}

}  // namespace

std::optional<Dtype> dtype_of_value(ValueType type) {
  const auto* row = find_row(value_types, [&](const auto& r) { return r.first == type; });
  return row == nullptr ? std::nullopt : std::optional(row->second);
}

std::optional<ValueType> value_type_of(Dtype dtype) {
  const auto* row = find_row(value_types, [&](const auto& r) { return r.second == dtype; });
  return row == nullptr ? std::nullopt : std::optional(row->first);
}

const TensorType* find_tensor_type(uint32_t id) {
  return find_row(tensor_types, [&](const TensorType& t) { return t.id == id; });
}

const TensorType* tensor_type_of(Dtype dtype) {
  return find_row(tensor_types, [&](const TensorType& t) { return t.dtype && *t.dtype == dtype; });
}

}  // namespace lazuli::gguf
