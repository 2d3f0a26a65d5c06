#include <lazuli/ops/attention_operation.h>
#include <lazuli/ops/convolution_operation.h>
#include <lazuli/ops/gathered_operations.h>
#include <lazuli/ops/matmul_operation.h>
#include <lazuli/ops/quantized_attention_operation.h>
#include <lazuli/ops/quantized_operations.h>
#include <lazuli/ops/stored_operations.h>

// Sums of products, read from files.

namespace lazuli {

namespace {

bool has_rank(const ArraySpec& spec, size_t rank) {
  return spec.shape.size() == rank;
}
int at(const ArraySpec& spec, size_t dim) {
  return spec.shape[dim].hint();
}
int from_end(const ArraySpec& spec, size_t dim) {
  return spec.shape[spec.shape.size() - dim].hint();
}

const OperationRegistration<MatmulOperation> matmul_registration(
    "matmul", 2, 3, [](AttributeReader& r) -> Ref<const Operation> {
      const ArraySpec& a = r.inputs()[0];
      const ArraySpec& b = r.inputs()[1];
      const Dtype dtype = r.dtype("dtype");
      const double alpha = r.number("alpha");
      const double beta = r.number("beta");
      const auto made = make_ref<MatmulOperation>(dtype, static_cast<float>(alpha), static_cast<float>(beta));
      r.require(issubdtype(dtype, inexact), "dtypes");
      for (const ArraySpec& operand : r.inputs()) {
        r.require(operand.dtype == dtype || made->accepts(0, operand.dtype), "dtypes");
      }
      r.require(a.shape.size() >= 2 && b.shape.size() >= 2 && from_end(a, 1) == from_end(b, 2), "shapes");
      r.require((r.inputs().size() == 3) == (static_cast<float>(beta) != 0), "operands' numbers");
      if (r.inputs().size() == 3) {
        r.require(same_extents(r.inputs()[2].shape, made->infer(r.inputs())[0].shape), "shapes");
      }
      return made;
    });

const OperationRegistration<GatherMatmulOperation> gather_registration(
    "gather_mm", 4, [](AttributeReader& r) -> Ref<const Operation> {
      const auto in = r.inputs();
      r.require(in[0].dtype == in[1].dtype && is_real_floating(in[0].dtype) && in[2].dtype == int32 &&
                    in[3].dtype == int32,
                "dtypes");
      r.require(has_rank(in[0], 3) && has_rank(in[1], 3) && has_rank(in[2], 1) && has_rank(in[3], 1) &&
                    at(in[0], 2) == at(in[1], 1) && at(in[2], 0) == at(in[3], 0),
                "shapes");
      r.require(at(in[2], 0) == 0 || (at(in[0], 0) > 0 && at(in[1], 0) > 0), "shapes");
      return make_ref<GatherMatmulOperation>();
    });

const OperationRegistration<SegmentedMatmulOperation> segmented_registration(
    "segmented_mm", 3, [](AttributeReader& r) -> Ref<const Operation> {
      const auto in = r.inputs();
      r.require(in[0].dtype == in[1].dtype && is_real_floating(in[0].dtype) && in[2].dtype == int32,
                "dtypes");
      r.require(has_rank(in[0], 2) && has_rank(in[1], 2) && has_rank(in[2], 2) &&
                    at(in[0], 1) == at(in[1], 0) && at(in[2], 1) == 2,
                "shapes");
      return make_ref<SegmentedMatmulOperation>();
    });

struct Quantization {
  int group_size;
  int bits;
};

Quantization read_quantization(AttributeReader& r) {
  return {r.integer("group_size", 16, 128), r.integer("bits", 2, 8)};
}

/// Codes, scales and, in the affine mode, biases of one matrix, or of a batch.
void require_quantized(const AttributeReader& r, const Quantization& q, std::span<const ArraySpec> parts) {
  const ArraySpec& codes = parts[0];
  const ArraySpec& scales = parts[1];
  if (parts.size() == 3) {
    r.require(q.group_size % 32 == 0 && q.group_size != 96 && q.bits != 7, "groups");
    r.require(codes.dtype == uint32 && is_real_floating(scales.dtype) && scales.dtype == parts[2].dtype,
              "dtypes");
    r.require(same_extents(scales.shape, parts[2].shape), "shapes");
  } else {
    r.require((q.group_size == 16 && q.bits == 4) || (q.group_size == 32 && (q.bits == 4 || q.bits == 8)),
              "groups");
    r.require(codes.dtype == uint32 && scales.dtype == uint8, "dtypes");
  }
  r.require(codes.shape.size() >= 2 && codes.shape.size() == scales.shape.size(), "shapes");
  for (size_t d = 0; d + 1 < codes.shape.size(); ++d) r.require(at(codes, d) == at(scales, d), "shapes");
  r.require(int64_t{from_end(codes, 1)} * 32 == int64_t{from_end(scales, 1)} * q.group_size * q.bits,
            "shapes");
}

/// The last axis of x meets the columns, or the rows, of the matrix.
void require_operand(const AttributeReader& r, const Quantization& q, bool transpose, const ArraySpec& x,
                     const ArraySpec& scales) {
  r.require(is_real_floating(x.dtype), "dtypes");
  const int64_t length = transpose ? int64_t{from_end(scales, 1)} * q.group_size : from_end(scales, 2);
  r.require(x.shape.size() >= 2 && from_end(x, 1) == length, "shapes");
}

const OperationRegistration<QuantizedMatmulOperation> quantized_registration(
    "quantized_matmul", 3, 4, [](AttributeReader& r) -> Ref<const Operation> {
      const auto in = r.inputs();
      const bool transpose = r.boolean("transpose");
      const Quantization q = read_quantization(r);
      require_quantized(r, q, in.subspan(1));
      require_operand(r, q, transpose, in[0], in[2]);
      return make_ref<QuantizedMatmulOperation>(transpose, q.group_size, q.bits);
    });

const OperationRegistration<GatherQuantizedMatmulOperation> gather_quantized_registration(
    "gather_qmm", 5, 6, [](AttributeReader& r) -> Ref<const Operation> {
      const auto in = r.inputs();
      const bool transpose = r.boolean("transpose");
      const Quantization q = read_quantization(r);
      require_quantized(r, q, in.subspan(1, in.size() - 3));
      require_operand(r, q, transpose, in[0], in[2]);
      const ArraySpec& lhs = in[in.size() - 2];
      const ArraySpec& rhs = in.back();
      r.require(lhs.dtype == int32 && rhs.dtype == int32, "dtypes");
      r.require(has_rank(in[0], 3) && has_rank(in[1], 3) && has_rank(lhs, 1) && has_rank(rhs, 1) &&
                    at(lhs, 0) == at(rhs, 0),
                "shapes");
      r.require(at(lhs, 0) == 0 || (at(in[0], 0) > 0 && at(in[1], 0) > 0), "shapes");
      return make_ref<GatherQuantizedMatmulOperation>(transpose, q.group_size, q.bits);
    });

const OperationRegistration<PackQuantizedOperation> pack_registration(
    "pack_quantized", 3, [](AttributeReader& r) -> Ref<const Operation> {
      const Quantization q = read_quantization(r);
      r.require(has_rank(r.inputs()[0], 2), "shapes");
      require_quantized(r, q, r.inputs());
      return make_ref<PackQuantizedOperation>(q.group_size, q.bits);
    });

bool is_packed(const ArraySpec& spec) {
  return spec.dtype == uint8 && has_rank(spec, 2) && at(spec, 0) > 0 && at(spec, 1) == 64;
}

const OperationRegistration<PackedMatmulOperation> packed_registration(
    "packed_quantized_matmul", 2, [](AttributeReader& r) -> Ref<const Operation> {
      const Dim features = r.extent("out_features");
      const int activations = r.integer("activations", 0, 1);
      r.require(is_real_floating(r.inputs()[0].dtype) && is_packed(r.inputs()[1]), "operands");
      r.require(!r.inputs()[0].shape.empty() && features.hint() >= 0, "shapes");
      return make_ref<PackedMatmulOperation>(features, static_cast<QuantizedActivations>(activations));
    });

const OperationRegistration<PackedTakeOperation> packed_take_registration(
    "packed_quantized_take", 2, [](AttributeReader& r) -> Ref<const Operation> {
      const Dim features = r.extent("in_features");
      const Dtype dtype = r.dtype("dtype");
      r.require(is_real_floating(dtype) && is_packed(r.inputs()[0]) && r.inputs()[1].dtype == int32,
                "operands");
      r.require(features.hint() >= 0, "shapes");
      return make_ref<PackedTakeOperation>(features, dtype);
    });

AttentionOperation::Settings read_attention_settings(AttributeReader& r) {
  AttentionOperation::Settings settings;
  settings.scale = static_cast<float>(r.number("scale"));
  settings.soft_cap = static_cast<float>(r.number("soft_cap"));
  settings.window = r.integer("window", 0);
  settings.causal = r.boolean("causal");
  settings.has_mask = r.boolean("mask");
  settings.has_sinks = r.boolean("sinks");
  settings.has_length = r.boolean("length");
  settings.dtype = r.dtype("dtype");
  r.require(is_real_floating(settings.dtype), "dtypes");
  return settings;
}

/// Checks the operands from `next` on: the mask, sinks and length that attention may have.
void check_attention_options(AttributeReader& r, const AttentionOperation::Settings& settings, size_t next) {
  const auto in = r.inputs();
  r.require(in.size() == next + static_cast<size_t>(settings.extra_operands()), "operands' numbers");
  if (settings.has_mask) {
    const ArraySpec& mask = in[next++];
    r.require(mask.dtype == bool_ || is_real_floating(mask.dtype), "dtypes");
    r.require(same_extents(mask.shape, {in[0].shape[0], in[0].shape[1], in[0].shape[2], in[1].shape[2]}),
              "shapes");
  }
  if (settings.has_sinks) {
    const ArraySpec& sinks = in[next++];
    r.require(is_real_floating(sinks.dtype) && has_rank(sinks, 1) && at(sinks, 0) == at(in[0], 1), "sinks");
  }
  if (settings.has_length) r.require(in[next].dtype == int32 && has_rank(in[next], 0), "lengths");
}

const OperationRegistration<AttentionOperation> attention_registration(
    "scaled_dot_product_attention", 3, 6, [](AttributeReader& r) -> Ref<const Operation> {
      const AttentionOperation::Settings settings = read_attention_settings(r);
      const auto made = make_ref<AttentionOperation>(settings);
      const auto in = r.inputs();
      for (size_t i = 0; i < 3; ++i) {
        r.require(has_rank(in[i], 4) && at(in[i], 0) == at(in[0], 0), "shapes");
        r.require(in[i].dtype == settings.dtype || made->accepts(static_cast<int>(i), in[i].dtype), "dtypes");
      }
      const int heads = at(in[0], 1);
      const int kv_heads = at(in[1], 1);
      r.require(kv_heads > 0 && heads % kv_heads == 0 && at(in[2], 1) == kv_heads &&
                    at(in[1], 2) == at(in[2], 2) && at(in[0], 3) == at(in[1], 3),
                "shapes");
      check_attention_options(r, settings, 3);
      return made;
    });

const OperationRegistration<QuantizedAttentionOperation> quantized_attention_registration(
    "quantized_scaled_dot_product_attention", 7, 10, [](AttributeReader& r) -> Ref<const Operation> {
      const AttentionOperation::Settings settings = read_attention_settings(r);
      const int group_size = r.integer("group_size");
      const int bits = r.integer("bits");
      r.require(
          (group_size == 32 || group_size == 64 || group_size == 128) && bits >= 2 && bits <= 8 && bits != 7,
          "groups or bits");
      const auto made = make_ref<QuantizedAttentionOperation>(settings, group_size, bits);
      const auto in = r.inputs();
      r.require(has_rank(in[0], 4) && (in[0].dtype == settings.dtype || made->accepts(0, in[0].dtype)),
                "queries");
      for (const size_t first : {size_t{1}, size_t{4}}) {
        const ArraySpec& scales = in[first + 1];
        r.require(in[first].dtype == uint32 && is_real_floating(scales.dtype) &&
                      scales.dtype == in[first + 2].dtype,
                  "dtypes");
        r.require(
            has_rank(in[first], 4) && has_rank(scales, 4) && same_extents(scales.shape, in[first + 2].shape),
            "shapes");
        r.require(int64_t{at(in[first], 3)} * 32 == int64_t{at(scales, 3)} * group_size * bits, "shapes");
        for (size_t d = 0; d < 3; ++d) {
          r.require(at(in[first], d) == at(scales, d) && at(in[first], d) == at(in[1], d), "shapes");
        }
      }
      const int kv_heads = at(in[1], 1);
      r.require(at(in[0], 0) == at(in[1], 0) && kv_heads > 0 && at(in[0], 1) % kv_heads == 0 &&
                    int64_t{at(in[2], 3)} * group_size == at(in[0], 3),
                "shapes");
      check_attention_options(r, settings, 7);
      return made;
    });

const OperationRegistration<ConvolutionOperation> convolution_registration(
    "convolution", 2, [](AttributeReader& r) -> Ref<const Operation> {
      const ArraySpec& input = r.inputs()[0];
      const ArraySpec& weight = r.inputs()[1];
      ConvolutionForm form;
      form.stride = r.integers("stride");
      form.padding = r.integers("padding");
      form.kernel_dilation = r.integers("kernel_dilation");
      form.input_dilation = r.integers("input_dilation");
      form.groups = r.integer("groups", 1);
      form.flip = r.boolean("flip");
      Shape spatial = r.shape("spatial");
      const size_t rank = form.stride.size();
      r.require(rank >= 1 && rank <= 3 && form.padding.size() == rank &&
                    form.kernel_dilation.size() == rank && form.input_dilation.size() == rank &&
                    spatial.size() == rank,
                "axes");
      for (size_t d = 0; d < rank; ++d) {
        r.require(form.stride[d] > 0 && form.kernel_dilation[d] > 0 && form.input_dilation[d] > 0, "steps");
      }
      r.require(input.dtype == weight.dtype && (input.dtype == float32 || input.dtype == float64), "dtypes");
      r.require(has_rank(input, rank + 2) && has_rank(weight, rank + 2) &&
                    int64_t{from_end(weight, 1)} * form.groups == from_end(input, 1) &&
                    at(weight, 0) % form.groups == 0,
                "shapes");
      return make_ref<ConvolutionOperation>(std::move(form), std::move(spatial));
    });

}  // namespace

}  // namespace lazuli
