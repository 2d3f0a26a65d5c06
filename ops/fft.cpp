#include <lazuli/ops/fft.h>

#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/operations.h>
#include <lazuli/compiler/templates/fft.h>
#include <lazuli/compiler/templates/fft_real.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/stored_operations.h>

namespace lazuli::fft {

namespace {

/// The transform of complex rows along the last axis, not scaled.
class FourierTransform final : public HostOperation {
 public:
  explicit FourierTransform(bool inverse) : inverse_(inverse) {}
  std::string_view name() const override { return inverse_ ? "ifft" : "fft"; }
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }

  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const int64_t count = element_count(inputs[0].shape);
    if (count == 0) return;
    const int64_t length = inputs[0].shape.back().hint();
    templates::fourier_transform(reinterpret_cast<const complex64_t*>(inputs[0].data),
                                 reinterpret_cast<complex64_t*>(outputs[0].data), count / length, length,
                                 inverse_);
  }

  /// The conjugate of the transposed matrix is that of the other direction.
  Differentials vjp(const Application&, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    return {lazuli::apply(make_ref<FourierTransform>(!inverse_), {*cotangents[0]})};
  }
  Differentials jvp(const Application&, const Differentials& tangents) const override {
    return {lazuli::apply(Ref<const Operation>(this), {*tangents[0]})};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
  }

 private:
  bool inverse_;
};

const OperationRegistration<FourierTransform> fourier_registration(
    "fourier_transform", 1, [](AttributeReader& r) -> Ref<const Operation> {
      r.require(r.inputs()[0].dtype == complex64 && !r.inputs()[0].shape.empty(), "operands");
      return make_ref<FourierTransform>(r.name() == "ifft");
    });

/// The first half of the transform of real rows along the last axis, and the element after it, not scaled.
class RealFourierTransform final : public HostOperation {
 public:
  std::string_view name() const override { return "rfft"; }
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    ArraySpec result = inputs[0];
    result.dtype = complex64;
    result.shape.back() = result.shape.back() / 2 + 1;
    return {result};
  }

  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const int64_t count = element_count(inputs[0].shape);
    if (count == 0) return;
    const int64_t length = inputs[0].shape.back().hint();
    templates::real_fourier_transform(reinterpret_cast<const float*>(inputs[0].data),
                                      reinterpret_cast<complex64_t*>(outputs[0].data), count / length,
                                      length);
  }

  /// What is left out of the transform has no cotangent; the input has no imaginary part.
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override;
  Differentials jvp(const Application&, const Differentials& tangents) const override {
    return {lazuli::apply(Ref<const Operation>(this), {*tangents[0]})};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
  }
};

/// The real rows of a given length of which half the transform, and the element after it, is given along the
/// last axis; divided by the length, or not scaled.
class InverseRealFourierTransform final : public HostOperation {
 public:
  InverseRealFourierTransform(Dim length, bool divided) : length_(std::move(length)), divided_(divided) {}
  std::string_view name() const override { return "irfft"; }
  void attributes(AttributeWriter& writer) const override {
    writer.write("length", Shape{length_});
    writer.write("divided", divided_);
  }
  bool needs_contiguous(int) const override { return true; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override {
    ArraySpec result = inputs[0];
    result.dtype = float32;
    result.shape.back() = length_;
    return {result};
  }

  void execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const int64_t count = element_count(outputs[0].shape);
    if (count == 0) return;
    const int64_t length = outputs[0].shape.back().hint();
    templates::inverse_real_fourier_transform(reinterpret_cast<const complex64_t*>(inputs[0].data),
                                              reinterpret_cast<float*>(outputs[0].data), count / length,
                                              length, divided_ ? 1 / static_cast<float>(length) : 1);
  }

  /// All elements but the first, and the one at half an even length, stand for their conjugates, too.
  Differentials vjp(const Application& at, const Differentials& cotangents,
                    const std::vector<bool>&) const override;
  Differentials jvp(const Application&, const Differentials& tangents) const override {
    return {lazuli::apply(Ref<const Operation>(this), {*tangents[0]})};
  }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
  }

 private:
  Dim length_;
  bool divided_;
};

const OperationRegistration<RealFourierTransform> real_fourier_registration(
    "real_fourier_transform", 1, [](AttributeReader& r) -> Ref<const Operation> {
      r.require(r.inputs()[0].dtype == float32 && !r.inputs()[0].shape.empty(), "operands");
      return make_ref<RealFourierTransform>();
    });

const OperationRegistration<InverseRealFourierTransform> inverse_real_fourier_registration(
    "inverse_real_fourier_transform", 1, [](AttributeReader& r) -> Ref<const Operation> {
      const Shape length = r.shape("length");
      const ArraySpec& half = r.inputs()[0];
      r.require(half.dtype == complex64 && !half.shape.empty(), "operands");
      r.require(
          length.size() == 1 && length[0].hint() > 0 && half.shape.back().hint() == length[0].hint() / 2 + 1,
          "lengths");
      return make_ref<InverseRealFourierTransform>(length[0], r.boolean("divided"));
    });

array transformed(const array& a, int axis, bool inverse, StreamOrDevice s) {
  const StreamContext on(s);
  const array rows = moveaxis(a, axis, -1, s);
  return moveaxis(lazuli::apply(make_ref<FourierTransform>(inverse), {rows}), -1, axis, s);
}

/// The elements from `start` to `stop` along an axis.
array part(const array& a, int axis, Dim start, Dim stop, StreamOrDevice s) {
  Shape first(a.ndim(), Dim(0));
  Shape last = a.shape();
  first[static_cast<size_t>(axis)] = start;
  last[static_cast<size_t>(axis)] = stop;
  return slice(a, first, last, s);
}

/// Cut, or extended with zeros.
array resized(const array& a, int axis, Dim length, StreamOrDevice s) {
  const Dim extent = a.shape()[static_cast<size_t>(axis)];
  if (extent.same_as(length) || extent == length) return a;
  if (extent > length) return part(a, axis, 0, length, s);
  Shape shape = a.shape();
  shape[static_cast<size_t>(axis)] = length - extent;
  return concatenate({a, zeros(shape, a.dtype(), s)}, axis, s);
}

/// Half a transform of rows of `length` along the last axis, with those elements times a factor that stand
/// for their conjugates, too.
array with_pairs_times(const array& half, float factor, const Dim& length) {
  const int last = static_cast<int>(half.ndim()) - 1;
  const Dim extent = half.shape().back();
  const Dim end = (length + 1) / 2;
  return concatenate({part(half, last, 0, 1, {}), multiply(part(half, last, 1, end, {}), array(factor)),
                      part(half, last, end, extent, {})},
                     last);
}

/// The adjoint leaves out the imaginary part of what the whole inverse transform would be: an element and its
/// conjugate with half of it each.
Differentials RealFourierTransform::vjp(const Application& at, const Differentials& cotangents,
                                        const std::vector<bool>&) const {
  const Dim length = at.inputs[0].shape().back();
  return {lazuli::apply(make_ref<InverseRealFourierTransform>(length, false),
                        {with_pairs_times(*cotangents[0], 0.5f, length)})};
}

Differentials InverseRealFourierTransform::vjp(const Application&, const Differentials& cotangents,
                                               const std::vector<bool>&) const {
  const array half = lazuli::apply(make_ref<RealFourierTransform>(), {*cotangents[0]});
  const array all = with_pairs_times(half, 2.0f, length_);
  return {divided_ ? multiply(all, extent_array({length_}, float32, true)) : all};
}

array real_transformed(const array& a, int axis, StreamOrDevice s) {
  const StreamContext on(s);
  const array rows = moveaxis(a, axis, -1, s);
  return moveaxis(lazuli::apply(make_ref<RealFourierTransform>(), {rows}), -1, axis, s);
}

/// Axes and the lengths of the transforms along them, as far as they are given.
struct Extent {
  int axis;
  std::optional<Dim> length;
};

std::vector<Extent> extents_of(const array& a, const std::optional<Shape>& n,
                               const std::optional<std::vector<int>>& axes, const char* name) {
  const auto fail = [&](const std::string& what) {
    throw std::invalid_argument("[" + std::string(name) + "] " + what);
  };
  std::vector<int> along(a.ndim());
  std::iota(along.begin(), along.end(), 0);
  if (axes) along = normalize_axes(*axes, a.ndim(), name);
  if (along.empty()) fail("there is no axis to transform");
  if (n && n->size() != along.size()) {
    fail(std::to_string(n->size()) + " lengths do not fit " + std::to_string(along.size()) + " axes");
  }
  std::vector<Extent> result;
  for (size_t i = 0; i < along.size(); ++i) {
    result.push_back({along[i], n ? std::optional<Dim>((*n)[i]) : std::nullopt});
    if (n && (*n)[i] <= 0) fail("a length must be positive, not " + std::to_string((*n)[i].hint()));
    if (a.shape()[static_cast<size_t>(along[i])] == 0) fail("there is no element along an axis");
  }
  return result;
}

array scaled(const array& a, const std::vector<Dim>& lengths, bool inverse, FFTNorm norm, StreamOrDevice s) {
  if (norm == (inverse ? FFTNorm::Forward : FFTNorm::Backward)) return a;
  array factor = extent_array(lengths, float32, true);
  if (norm == FFTNorm::Ortho) factor = sqrt(factor, s);
  return multiply(a, factor, s);
}

array complex_transform(const array& a, const std::vector<Extent>& extents, bool inverse, FFTNorm norm,
                        StreamOrDevice s) {
  array x = astype(a, complex64, s);
  std::vector<Dim> lengths;
  for (const Extent& extent : extents) {
    if (extent.length) x = resized(x, extent.axis, *extent.length, s);
    lengths.push_back(x.shape()[static_cast<size_t>(extent.axis)]);
    x = transformed(x, extent.axis, inverse, s);
  }
  return scaled(x, lengths, inverse, norm, s);
}

array real_transform(const array& a, const std::vector<Extent>& extents, FFTNorm norm, StreamOrDevice s) {
  const Extent& last = extents.back();
  const array x = last.length ? resized(a, last.axis, *last.length, s) : a;
  const Dim length = x.shape()[static_cast<size_t>(last.axis)];
  array result = real_transformed(astype(x, float32, s), last.axis, s);
  std::vector<Dim> lengths{length};
  for (size_t i = 0; i + 1 < extents.size(); ++i) {
    if (extents[i].length) result = resized(result, extents[i].axis, *extents[i].length, s);
    lengths.push_back(result.shape()[static_cast<size_t>(extents[i].axis)]);
    result = transformed(result, extents[i].axis, false, s);
  }
  return scaled(result, lengths, false, norm, s);
}

array real_inverse(const array& a, const std::vector<Extent>& extents, FFTNorm norm, const char* name,
                   StreamOrDevice s) {
  array x = astype(a, complex64, s);
  std::vector<Dim> lengths;
  for (size_t i = 0; i + 1 < extents.size(); ++i) {
    if (extents[i].length) x = resized(x, extents[i].axis, *extents[i].length, s);
    lengths.push_back(x.shape()[static_cast<size_t>(extents[i].axis)]);
    x = transformed(x, extents[i].axis, true, s);
  }
  const int axis = extents.back().axis;
  const Dim length = extents.back().length.value_or((x.shape()[static_cast<size_t>(axis)] - 1) * 2);
  if (length <= 0) {
    throw std::invalid_argument("[" + std::string(name) +
                                "] one element is no half of a result: give its length");
  }
  const StreamContext on(s);
  const array half = moveaxis(resized(x, axis, length / 2 + 1, s), axis, -1, s);
  // The usual norm costs nothing along the last axis.
  const bool divided = norm == FFTNorm::Backward;
  const array rows = lazuli::apply(make_ref<InverseRealFourierTransform>(length, divided), {half});
  if (!divided) lengths.push_back(length);
  const array result = moveaxis(rows, -1, axis, s);
  return lengths.empty() ? result : scaled(result, lengths, true, norm, s);
}

array shifted(const array& a, const std::vector<int>& axes, bool back, const char* name, StreamOrDevice s) {
  const std::vector<int> along = normalize_axes(axes, a.ndim(), name);
  Shape by;
  for (const int axis : along) {
    const Dim half = a.shape()[static_cast<size_t>(axis)] / 2;
    by.push_back(back ? -half : half);
  }
  return roll(a, by, along, s);
}

std::vector<int> every_axis(const array& a) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

}  // namespace

array fftn(const array& a, const Shape& n, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return complex_transform(a, extents_of(a, n, axes, "fftn"), false, norm, s);
}
array fftn(const array& a, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return complex_transform(a, extents_of(a, std::nullopt, axes, "fftn"), false, norm, s);
}
array fftn(const array& a, FFTNorm norm, StreamOrDevice s) {
  return complex_transform(a, extents_of(a, std::nullopt, std::nullopt, "fftn"), false, norm, s);
}
array ifftn(const array& a, const Shape& n, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return complex_transform(a, extents_of(a, n, axes, "ifftn"), true, norm, s);
}
array ifftn(const array& a, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return complex_transform(a, extents_of(a, std::nullopt, axes, "ifftn"), true, norm, s);
}
array ifftn(const array& a, FFTNorm norm, StreamOrDevice s) {
  return complex_transform(a, extents_of(a, std::nullopt, std::nullopt, "ifftn"), true, norm, s);
}
array rfftn(const array& a, const Shape& n, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return real_transform(a, extents_of(a, n, axes, "rfftn"), norm, s);
}
array rfftn(const array& a, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return real_transform(a, extents_of(a, std::nullopt, axes, "rfftn"), norm, s);
}
array rfftn(const array& a, FFTNorm norm, StreamOrDevice s) {
  return real_transform(a, extents_of(a, std::nullopt, std::nullopt, "rfftn"), norm, s);
}
array irfftn(const array& a, const Shape& n, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return real_inverse(a, extents_of(a, n, axes, "irfftn"), norm, "irfftn", s);
}
array irfftn(const array& a, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) {
  return real_inverse(a, extents_of(a, std::nullopt, axes, "irfftn"), norm, "irfftn", s);
}
array irfftn(const array& a, FFTNorm norm, StreamOrDevice s) {
  return real_inverse(a, extents_of(a, std::nullopt, std::nullopt, "irfftn"), norm, "irfftn", s);
}

array fftfreq(int n, double d, StreamOrDevice s) {
  const array positive = arange(0, (n + 1) / 2, s);
  const array negative = arange(-(n / 2), 0, s);
  const array scale(static_cast<float>(1 / (n * d)));
  return multiply(astype(concatenate({positive, negative}, 0, s), float32, s), scale, s);
}
array rfftfreq(int n, double d, StreamOrDevice s) {
  return multiply(astype(arange(0, n / 2 + 1, s), float32, s), array(static_cast<float>(1 / (n * d))), s);
}

array fftshift(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  return shifted(a, axes, false, "fftshift", s);
}
array fftshift(const array& a, StreamOrDevice s) {
  return shifted(a, every_axis(a), false, "fftshift", s);
}
array ifftshift(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  return shifted(a, axes, true, "ifftshift", s);
}
array ifftshift(const array& a, StreamOrDevice s) {
  return shifted(a, every_axis(a), true, "ifftshift", s);
}

}  // namespace lazuli::fft
