// oneDNN. Images and results lie as Lazuli's do; weights are in the layout it likes best, made beforehand.

#ifdef LAZULI_PEER_ONEDNN

#include <omp.h>

#include <dnnl.hpp>

#include "module.h"

namespace lazuli::bench {
namespace {

using dnnl::memory;
using Dims = memory::dims;

dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}
dnnl::stream& stream() {
  static dnnl::stream one(engine());
  return one;
}

/// A primitive with its arguments.
std::function<void()> running(const dnnl::primitive& primitive,
                              const std::unordered_map<int, memory>& arguments) {
  return [primitive, arguments] {
    primitive.execute(stream(), arguments);
    stream().wait();
  };
}

/// What an operand holds, in the layout that is asked for.
memory in_layout(memory from, const memory::desc& layout) {
  if (from.get_desc() == layout) return from;
  memory to(layout, engine());
  dnnl::reorder(from, to).execute(stream(), from, to);
  stream().wait();
  return to;
}

memory over(const memory::desc& layout, const void* data) {
  return {layout, engine(), const_cast<void*>(data)};
}

memory::data_type type_of(const PeerWork& work) {
  return work.is_bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

void add_matmul(const PeerWork& work, std::vector<PeerRun>& runs) {
  const auto& e = work.extents;
  const int64_t batch = e[0], m = e[1], n = e[2], k = e[3];
  const auto type = type_of(work);
  const memory::desc a({batch, m, k}, type, e[4] != 0 ? Dims{m * k, 1, m} : Dims{m * k, k, 1});
  const memory::desc b({batch, k, n}, type, e[5] != 0 ? Dims{k * n, 1, k} : Dims{k * n, n, 1});
  const memory::desc c({batch, m, n}, type, Dims{m * n, n, 1});
  const dnnl::matmul::primitive_desc made(dnnl::matmul::desc(a, b, c), engine());
  runs.push_back({"oneDNN", running(dnnl::matmul(made), {{DNNL_ARG_SRC, over(a, work.inputs[0])},
                                                         {DNNL_ARG_WEIGHTS, over(b, work.inputs[1])},
                                                         {DNNL_ARG_DST, memory(c, engine())}})});
}

/// Strides of axes (n, c, spatial...) whose channels lie innermost.
Dims channels_last(const Dims& dims) {
  Dims strides(dims.size());
  strides[1] = 1;
  int64_t stride = dims[1];
  for (size_t d = dims.size(); d-- > 2;) {
    strides[d] = stride;
    stride *= dims[d];
  }
  strides[0] = stride;
  return strides;
}

void add_convolution(const PeerWork& work, std::vector<PeerRun>& runs) {
  const auto& e = work.extents;
  const int64_t batch = e[0], channels = e[1], features = e[2], groups = e[3], rank = e[6];
  const auto axes = [&](int64_t which) {
    return Dims(e.begin() + 7 + which * rank, e.begin() + 7 + (which + 1) * rank);
  };
  const auto f32 = memory::data_type::f32;
  Dims x_dims{batch, channels}, y_dims{batch, features};
  for (const int64_t extent : axes(0)) x_dims.push_back(extent);
  for (const int64_t extent : axes(2)) y_dims.push_back(extent);
  Dims w_dims{features / groups, channels / groups};
  for (const int64_t extent : axes(1)) w_dims.push_back(extent);
  Dims w_strides = channels_last(w_dims);
  if (groups > 1) {
    w_dims.insert(w_dims.begin(), groups);
    w_strides.insert(w_strides.begin(), w_strides[0] * features / groups);
  }
  const memory::desc x(x_dims, f32, channels_last(x_dims));
  const memory::desc y(y_dims, f32, channels_last(y_dims));
  const memory::desc w_given(w_dims, f32, w_strides);
  const memory::desc w_any(w_dims, f32, memory::format_tag::any);
  const Dims strides(static_cast<size_t>(rank), e[4]);
  const Dims padding(static_cast<size_t>(rank), e[5]);
  // What is left over at the end is not read.
  Dims behind = padding;
  for (size_t d = 0; d < behind.size(); ++d) {
    behind[d] = (axes(2)[d] - 1) * e[4] + axes(1)[d] - axes(0)[d] - e[5];
  }
  const auto automatic = dnnl::algorithm::convolution_auto;
  const bool forward_only = work.kind == PeerWork::Kind::convolution;
  const auto kind = forward_only ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
  using Forward = dnnl::convolution_forward;
  const Forward::primitive_desc forward(Forward::desc(kind, automatic, x, w_any, y, strides, padding, behind),
                                        engine());
  const memory weights = over(w_given, work.inputs[1]);
  if (forward_only) {
    runs.push_back(
        {"oneDNN", running(Forward(forward), {{DNNL_ARG_SRC, over(x, work.inputs[0])},
                                              {DNNL_ARG_WEIGHTS, in_layout(weights, forward.weights_desc())},
                                              {DNNL_ARG_DST, memory(y, engine())}})});
    return;
  }
  using OfInput = dnnl::convolution_backward_data;
  using OfWeight = dnnl::convolution_backward_weights;
  const OfInput::primitive_desc of_input(OfInput::desc(automatic, x, w_any, y, strides, padding, behind),
                                         engine(), forward);
  const OfWeight::primitive_desc of_weight(OfWeight::desc(automatic, x, w_any, y, strides, padding, behind),
                                           engine(), forward);
  const memory cotangent = over(y, work.inputs[2]);
  const auto first =
      running(OfInput(of_input), {{DNNL_ARG_DIFF_DST, cotangent},
                                  {DNNL_ARG_WEIGHTS, in_layout(weights, of_input.weights_desc())},
                                  {DNNL_ARG_DIFF_SRC, memory(x, engine())}});
  const auto second = running(OfWeight(of_weight),
                              {{DNNL_ARG_SRC, over(x, work.inputs[0])},
                               {DNNL_ARG_DIFF_DST, cotangent},
                               {DNNL_ARG_DIFF_WEIGHTS, memory(of_weight.diff_weights_desc(), engine())}});
  runs.push_back({"oneDNN", [first, second] {
                    first();
                    second();
                  }});
}

void add_rows(const PeerWork& work, std::vector<PeerRun>& runs) {
  const int64_t rows = work.extents[0], columns = work.extents[1];
  const memory::desc x({rows, columns}, type_of(work), Dims{columns, 1});
  const auto inference = dnnl::prop_kind::forward_inference;
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, over(x, work.inputs[0])},
                                            {DNNL_ARG_DST, memory(x, engine())}};
  if (work.kind == PeerWork::Kind::softmax) {
    const dnnl::softmax_forward::primitive_desc made(dnnl::softmax_forward::desc(inference, x, 1), engine());
    runs.push_back({"oneDNN", running(dnnl::softmax_forward(made), arguments)});
  } else if (work.kind == PeerWork::Kind::log_softmax) {
    const dnnl::logsoftmax_forward::primitive_desc made(dnnl::logsoftmax_forward::desc(inference, x, 1),
                                                        engine());
    runs.push_back({"oneDNN", running(dnnl::logsoftmax_forward(made), arguments)});
  } else {
    using Norm = dnnl::layer_normalization_forward;
    const Norm::primitive_desc made(
        Norm::desc(inference, x, 1e-5f, dnnl::normalization_flags::use_scale_shift), engine());
    // Weight and bias are the two rows of one matrix, of float32.
    memory both(memory::desc({2, columns}, memory::data_type::f32, Dims{columns, 1}), engine());
    std::fill_n(static_cast<float*>(both.get_data_handle()), columns, 1.0f);
    std::fill_n(static_cast<float*>(both.get_data_handle()) + columns, columns, 0.5f);
    arguments.emplace(DNNL_ARG_SCALE_SHIFT, both);
    runs.push_back({"oneDNN", running(Norm(made), arguments)});
  }
}

}  // namespace

void add_onednn(const PeerWork& work, int threads, std::vector<PeerRun>& runs) {
  omp_set_num_threads(threads);
  try {
    switch (work.kind) {
      case PeerWork::Kind::matmul:
        return add_matmul(work, runs);
      case PeerWork::Kind::convolution:
      case PeerWork::Kind::convolution_gradients:
        return add_convolution(work, runs);
      case PeerWork::Kind::softmax:
      case PeerWork::Kind::log_softmax:
      case PeerWork::Kind::layer_norm:
        return add_rows(work, runs);
      default:
        return;
    }
  } catch (const dnnl::error&) {
    // It does not do this work on this machine.
  }
}

}  // namespace lazuli::bench

#endif
