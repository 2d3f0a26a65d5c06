#include <stdexcept>
#include <string>

#include <lazuli/ops/attention_operation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/fast.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/shape.h>

namespace lazuli::fast {

namespace {

bool is_served(Dtype dtype) {
  return dtype == float32 || dtype == float16 || dtype == bfloat16;
}

/// Checks the operands and applies the operation. `mask` and `sinks` are null where there are none.
array attend(const array& queries, const array& keys, const array& values, const array* mask,
             const array* sinks, const array* length, AttentionOperation::Settings settings,
             const std::string& name, StreamOrDevice s) {
  const StreamContext on(s);
  const auto fail = [&](const std::string& what) { throw std::invalid_argument("[" + name + "] " + what); };
  const std::string shapes = "queries " + shape_to_string(queries.shape()) + ", keys " +
                             shape_to_string(keys.shape()) + " and values " + shape_to_string(values.shape());
  if (queries.ndim() != 4 || keys.ndim() != 4 || values.ndim() != 4) {
    fail(shapes + " must have four dimensions each");
  }
  if (queries.shape(0) != keys.shape(0) || keys.shape(0) != values.shape(0)) {
    fail(shapes + " differ in their first extent, the batch");
  }
  if (queries.shape(3) != keys.shape(3)) fail(shapes + ": queries and keys differ in their last extent");
  if (keys.shape(1) != values.shape(1) || keys.shape(2) != values.shape(2)) {
    fail(shapes + ": keys and values differ in heads or length");
  }
  if (keys.shape(1) == 0 || queries.shape(1) % keys.shape(1) != 0) {
    fail(shapes + ": the heads of queries are no multiple of those of keys");
  }
  const Dtype dtype = promote_types(queries.dtype(), promote_types(keys.dtype(), values.dtype()));
  if (!is_served(dtype)) {
    fail(std::string(dtype_name(dtype)) + " is not supported: float32, float16 and bfloat16 only");
  }

  settings.dtype = dtype;
  std::vector<array> operands{astype(queries, dtype, s), astype(keys, dtype, s), astype(values, dtype, s)};
  if (mask != nullptr) {
    settings.has_mask = true;
    if (mask->dtype() != bool_ &&
        (!issubdtype(mask->dtype(), floating) || promote_types(mask->dtype(), dtype) != dtype)) {
      fail("a mask of " + std::string(dtype_name(mask->dtype())) + " does not fit " +
           std::string(dtype_name(dtype)));
    }
    const Shape full{queries.shape(0), queries.shape(1), queries.shape(2), keys.shape(2)};
    if (!broadcasts_to(mask->shape(), full)) {
      fail("a mask of shape " + shape_to_string(mask->shape()) + " does not broadcast to " +
           shape_to_string(full));
    }
    operands.push_back(broadcast_to(*mask, full, s));
  }
  if (sinks != nullptr) {
    settings.has_sinks = true;
    if (sinks->ndim() != 1 || sinks->shape(0) != queries.shape(1) || !is_served(sinks->dtype())) {
      fail("sinks must be one floating point number for each head of the queries");
    }
    operands.push_back(*sinks);
  }
  if (length != nullptr) {
    settings.has_length = true;
    if (length->ndim() != 0 || !issubdtype(length->dtype(), integer)) {
      fail("the number of keys must be an integer scalar");
    }
    operands.push_back(astype(*length, int32, s));
  }
  return lazuli::apply(make_ref<AttentionOperation>(settings), std::move(operands));
}

}  // namespace

array scaled_dot_product_attention(const array& queries, const array& keys, const array& values,
                                   const float scale, const std::string& mask_mode,
                                   std::optional<array> mask_arr, const std::optional<array>& sinks, bool,
                                   StreamOrDevice s) {
  const std::string name = "scaled_dot_product_attention";
  if (!mask_mode.empty() && mask_mode != "causal" && mask_mode != "array") {
    throw std::invalid_argument("[" + name + "] the mask mode must be \"\", \"causal\" or \"array\", not \"" +
                                mask_mode + "\"");
  }
  if (mask_mode == "causal" && mask_arr) {
    throw std::invalid_argument("[" + name + "] a causal mask takes no array");
  }
  if (mask_mode == "array" && !mask_arr) {
    throw std::invalid_argument("[" + name + "] the mask mode is \"array\", but there is none");
  }
  AttentionOperation::Settings settings;
  settings.scale = scale;
  settings.causal = mask_mode == "causal";
  return attend(queries, keys, values, mask_arr ? &*mask_arr : nullptr, sinks ? &*sinks : nullptr, nullptr,
                settings, name, s);
}

array attention_over_cache(const array& queries, const array& keys, const array& values,
                           const array& key_length, float scale, const CacheAttentionOptions& options,
                           StreamOrDevice s) {
  AttentionOperation::Settings settings;
  settings.scale = scale;
  settings.causal = options.causal;
  settings.window = options.window;
  settings.soft_cap = options.soft_cap;
  return attend(queries, keys, values, options.mask ? &*options.mask : nullptr,
                options.sinks ? &*options.sinks : nullptr, &key_length, settings, "attention_over_cache", s);
}

}  // namespace lazuli::fast
