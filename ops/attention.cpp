#include <functional>
#include <stdexcept>
#include <string>

#include <lazuli/ops/affine_format.h>
#include <lazuli/ops/attention_operation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/fast.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/quantized_attention_operation.h>
#include <lazuli/ops/shape.h>

namespace lazuli::fast {

namespace {

bool is_served(Dtype dtype) {
  return dtype == float32 || dtype == float16 || dtype == bfloat16;
}

/// Keys or values: the operands that they are, and what they are the elements of.
struct Attended {
  std::vector<array> parts;
  Shape shape;
  Dtype dtype;
  bool is_converted;  ///< to the dtype of the result, before anything reads them
};

using Make = std::function<Ref<const Operation>(const AttentionOperation::Settings&)>;

/// Operands that attention need not have; null where there are none.
struct Options {
  const array* mask = nullptr;
  const array* sinks = nullptr;
  const array* length = nullptr;
};

/// Checks the operands and applies the operation.
array attend(const array& queries, const Attended& keys, const Attended& values, const Options& options,
             AttentionOperation::Settings settings, const std::string& name, const Make& make,
             StreamOrDevice s) {
  const StreamContext on(s);
  const auto fail = [&](const std::string& what) { throw std::invalid_argument("[" + name + "] " + what); };
  const std::string shapes = "queries " + shape_to_string(queries.shape()) + ", keys " +
                             shape_to_string(keys.shape) + " and values " + shape_to_string(values.shape);
  if (queries.ndim() != 4 || keys.shape.size() != 4 || values.shape.size() != 4) {
    fail(shapes + " must have four dimensions each");
  }
  if (queries.shape(0) != keys.shape[0] || keys.shape[0] != values.shape[0]) {
    fail(shapes + " differ in their first extent, the batch");
  }
  if (queries.shape(3) != keys.shape[3]) fail(shapes + ": queries and keys differ in their last extent");
  if (keys.shape[1] != values.shape[1] || keys.shape[2] != values.shape[2]) {
    fail(shapes + ": keys and values differ in heads or length");
  }
  if (keys.shape[1] == 0 || queries.shape(1) % keys.shape[1] != 0) {
    fail(shapes + ": the heads of queries are no multiple of those of keys");
  }
  const Dtype dtype = promote_types(queries.dtype(), promote_types(keys.dtype, values.dtype));
  if (!is_served(dtype)) {
    fail(std::string(dtype_name(dtype)) + " is not supported: float32, float16 and bfloat16 only");
  }

  settings.dtype = dtype;
  std::vector<array> operands{astype(queries, dtype, s)};
  for (const Attended* each : {&keys, &values}) {
    for (const array& part : each->parts)
      operands.push_back(each->is_converted ? astype(part, dtype, s) : part);
  }
  if (const array* mask = options.mask) {
    settings.has_mask = true;
    if (mask->dtype() != bool_ &&
        (!issubdtype(mask->dtype(), floating) || promote_types(mask->dtype(), dtype) != dtype)) {
      fail("a mask of " + std::string(dtype_name(mask->dtype())) + " does not fit " +
           std::string(dtype_name(dtype)));
    }
    const Shape full{queries.shape(0), queries.shape(1), queries.shape(2), keys.shape[2]};
    if (!broadcasts_to(mask->shape(), full)) {
      fail("a mask of shape " + shape_to_string(mask->shape()) + " does not broadcast to " +
           shape_to_string(full));
    }
    operands.push_back(broadcast_to(*mask, full, s));
  }
  if (const array* sinks = options.sinks) {
    settings.has_sinks = true;
    if (sinks->ndim() != 1 || sinks->shape(0) != queries.shape(1) || !is_served(sinks->dtype())) {
      fail("sinks must be one floating point number for each head of the queries");
    }
    operands.push_back(*sinks);
  }
  if (const array* length = options.length) {
    settings.has_length = true;
    if (length->ndim() != 0 || !issubdtype(length->dtype(), integer)) {
      fail("the number of keys must be an integer scalar");
    }
    operands.push_back(astype(*length, int32, s));
  }
  return lazuli::apply(make(settings), std::move(operands));
}

Attended as_they_are(const array& rows) {
  return {{rows}, rows.shape(), rows.dtype(), true};
}

Ref<const Operation> make_plain(const AttentionOperation::Settings& settings) {
  return make_ref<AttentionOperation>(settings);
}

/// Rows as codes, scales and biases.
Attended as_codes(const std::vector<array>& parts, const std::string& what, AffineFormat format,
                  const std::string& name) {
  if (parts.size() != 3) {
    throw std::invalid_argument("[" + name + "] " + what + " must be codes, scales and biases, not " +
                                std::to_string(parts.size()) + " arrays");
  }
  check_affine_parts(parts[0], parts[1], parts[2], format, name);
  Shape shape = parts[1].shape();
  shape.back() = shape.back() * format.group_size;
  return {parts, std::move(shape), parts[1].dtype(), false};
}

Make make_quantized(AffineFormat format) {
  return [format](const AttentionOperation::Settings& settings) -> Ref<const Operation> {
    return make_ref<QuantizedAttentionOperation>(settings, format.group_size, format.bits);
  };
}

/// The settings that a mask's mode stands for.
AttentionOperation::Settings settings_of(const std::string& mask_mode, const std::optional<array>& mask,
                                         float scale, const std::string& name) {
  if (!mask_mode.empty() && mask_mode != "causal" && mask_mode != "array") {
    throw std::invalid_argument("[" + name + "] the mask mode must be \"\", \"causal\" or \"array\", not \"" +
                                mask_mode + "\"");
  }
  if (mask_mode == "causal" && mask) {
    throw std::invalid_argument("[" + name + "] a causal mask takes no array");
  }
  if (mask_mode == "array" && !mask) {
    throw std::invalid_argument("[" + name + "] the mask mode is \"array\", but there is none");
  }
  AttentionOperation::Settings settings;
  settings.scale = scale;
  settings.causal = mask_mode == "causal";
  return settings;
}

AttentionOperation::Settings settings_of(const CacheAttentionOptions& options, float scale) {
  AttentionOperation::Settings settings;
  settings.scale = scale;
  settings.causal = options.causal;
  settings.window = options.window;
  settings.soft_cap = options.soft_cap;
  return settings;
}

const array* given(const std::optional<array>& a) {
  return a ? &*a : nullptr;
}

}  // namespace

array scaled_dot_product_attention(const array& queries, const array& keys, const array& values,
                                   const float scale, const std::string& mask_mode,
                                   std::optional<array> mask_arr, const std::optional<array>& sinks, bool,
                                   StreamOrDevice s) {
  const std::string name = "scaled_dot_product_attention";
  return attend(queries, as_they_are(keys), as_they_are(values), {given(mask_arr), given(sinks), nullptr},
                settings_of(mask_mode, mask_arr, scale, name), name, make_plain, s);
}

array attention_over_cache(const array& queries, const array& keys, const array& values,
                           const array& key_length, float scale, const CacheAttentionOptions& options,
                           StreamOrDevice s) {
  return attend(queries, as_they_are(keys), as_they_are(values),
                {given(options.mask), given(options.sinks), &key_length}, settings_of(options, scale),
                "attention_over_cache", make_plain, s);
}

array quantized_scaled_dot_product_attention(const array& queries, const std::vector<array>& keys,
                                             const std::vector<array>& values, float scale,
                                             const std::string& mask_mode, std::optional<array> mask_arr,
                                             const std::optional<array>& sinks, std::optional<int> group_size,
                                             std::optional<int> bits, StreamOrDevice s) {
  const std::string name = "quantized_scaled_dot_product_attention";
  const AffineFormat format = affine_format(group_size, bits, name);
  return attend(queries, as_codes(keys, "keys", format, name), as_codes(values, "values", format, name),
                {given(mask_arr), given(sinks), nullptr}, settings_of(mask_mode, mask_arr, scale, name), name,
                make_quantized(format), s);
}

array attention_over_quantized_cache(const array& queries, const std::vector<array>& keys,
                                     const std::vector<array>& values, const array& key_length, float scale,
                                     const CacheAttentionOptions& options, std::optional<int> group_size,
                                     std::optional<int> bits, StreamOrDevice s) {
  const std::string name = "attention_over_quantized_cache";
  const AffineFormat format = affine_format(group_size, bits, name);
  return attend(queries, as_codes(keys, "keys", format, name), as_codes(values, "values", format, name),
                {given(options.mask), given(options.sinks), &key_length}, settings_of(options, scale), name,
                make_quantized(format), s);
}

}  // namespace lazuli::fast
