#pragma once

// Templates of array.h.

namespace lazuli {

namespace array_detail {

/// A host value converted to the C++ type `To` of an element; complex to real takes the real part.
template <typename To, typename From>
To convert_element(const From& value) {
  constexpr bool from_half = std::is_same_v<From, float16_t> || std::is_same_v<From, bfloat16_t>;
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, complex64_t>) {
    if constexpr (std::is_same_v<To, bool>) {
      return value != complex64_t(0);
    } else {
      return static_cast<To>(value.real());
    }
  } else if constexpr (from_half && !std::is_same_v<To, complex64_t>) {
    return static_cast<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, complex64_t>) {
    return complex64_t(static_cast<float>(value), 0.0f);
  } else if constexpr (sizeof(From) == 2 && !std::is_arithmetic_v<From>) {
    return static_cast<To>(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

/// Converts a host value to an element of dtype `to` at `destination`.
template <typename T>
void store_element(void* destination, Dtype to, const T& value) {
  dispatch_dtype(to, [&]<typename U>(std::type_identity<U>) {
    const U converted = convert_element<U, T>(value);
    std::memcpy(destination, &converted, sizeof(U));
  });
}

/// Converts `count` host values to elements of dtype `to`.
template <typename It>
void store_elements(void* destination, Dtype to, It from, int64_t count) {
  using From = typename std::iterator_traits<It>::value_type;
  const From* contiguous = nullptr;
  if constexpr (std::contiguous_iterator<It>) {
    if (count > 0) contiguous = std::to_address(from);
  }
  dispatch_dtype(to, [&]<typename U>(std::type_identity<U>) {
    U* out = static_cast<U*>(destination);
    if constexpr (std::is_same_v<U, From>) {
      if (contiguous != nullptr) {
        std::memcpy(static_cast<void*>(out), contiguous, static_cast<size_t>(count) * sizeof(U));
        return;
      }
    }
    for (int64_t i = 0; i < count; ++i, ++from) out[i] = convert_element<U, From>(static_cast<From>(*from));
  });
}

}  // namespace array_detail

inline array::array(Ref<Node> node, uint32_t index) : node_(std::move(node)), index_(index) {}
inline array::~array() = default;

inline const Shape& array::shape() const {
  return node_->outputs[index_].shape;
}
inline Dtype array::dtype() const {
  return node_->outputs[index_].dtype;
}
inline size_t array::size() const {
  // Whoever has the number can compute with it: a trace holds for this one only.
  for (const Dim extent : shape()) static_cast<void>(static_cast<int>(extent));
  return static_cast<size_t>(element_count(shape()));
}
inline bool array::is_available() const {
  return node_->is_computed();
}

template <typename T>
requires std::is_arithmetic_v<T> || std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t> ||
    std::is_same_v<T, complex64_t>
    array::array(T value, Dtype dtype) {
  void* data = nullptr;
  *this = allocate_host({}, dtype, &data);
  array_detail::store_element(data, dtype, value);
}

template <typename It>
requires std::input_iterator<It> array::array(It data, Shape shape, Dtype dtype) {
  void* to = nullptr;
  const int64_t count = element_count(shape);
  *this = allocate_host(std::move(shape), dtype, &to);
  array_detail::store_elements(to, dtype, std::move(data), count);
}

template <typename T>
array::array(std::initializer_list<T> data, Dtype dtype)
    : array(data.begin(), Shape(1, Dim(data.size())), dtype) {}

template <typename T>
array::array(std::initializer_list<T> data, Shape shape, Dtype dtype) {
  if (element_count(shape) != static_cast<int64_t>(data.size())) {
    throw std::invalid_argument("[array] " + std::to_string(data.size()) + " values cannot fill shape " +
                                shape_to_string(shape));
  }
  *this = array(data.begin(), std::move(shape), dtype);
}

template <typename T>
T array::item() const {
  check_item();
  const void* data = raw_data();
  return dispatch_dtype(dtype(), [&]<typename U>(std::type_identity<U>) {
    U value;
    std::memcpy(&value, data, sizeof(U));
    return array_detail::convert_element<T, U>(value);
  });
}

template <typename T>
T* array::data() {
  return static_cast<T*>(raw_data());
}

template <typename T>
const T* array::data() const {
  return static_cast<const T*>(raw_data());
}

}  // namespace lazuli
