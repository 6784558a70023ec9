#include "burin/type.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "burin/error.h"
#include "support/aligned_memory.h"
#include "support/half.h"

namespace burin {
namespace {

struct PrecisionInfo {
  Precision precision;
  std::string_view text;
  std::size_t size;
};

constexpr std::array<PrecisionInfo, 13> kPrecisions = {{
    {Precision::f32, "f32", 4},
    {Precision::f64, "f64", 8},
    {Precision::f16, "f16", 2},
    {Precision::bf16, "bf16", 2},
    {Precision::i64, "i64", 8},
    {Precision::i32, "i32", 4},
    {Precision::i16, "i16", 2},
    {Precision::i8, "i8", 1},
    {Precision::u64, "u64", 8},
    {Precision::u32, "u32", 4},
    {Precision::u16, "u16", 2},
    {Precision::u8, "u8", 1},
    {Precision::boolean, "bool", 1},
}};

constexpr bool in_order_of_enum() {
  for (std::size_t i = 0; i < kPrecisions.size(); ++i)
    if (static_cast<std::size_t>(kPrecisions[i].precision) != i) return false;
  return true;
}
static_assert(in_order_of_enum());

const PrecisionInfo& describe(Precision precision) {
  const auto index = static_cast<std::size_t>(precision);
  if (index >= kPrecisions.size()) throw Error(fmt::format("there is no precision {}", index));
  return kPrecisions[index];
}

std::shared_ptr<std::byte> allocate(std::size_t bytes) {
  AlignedMemory memory = allocate_aligned(bytes);
  if (!memory) throw Error(fmt::format("no memory for a tensor of {} bytes", bytes));
  return memory;
}

std::int64_t checked_size(Precision precision, const Dims& dims) {
  const std::int64_t count = element_count(dims, "a tensor");
  if (static_cast<std::uint64_t>(count) >
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / size_of(precision))
    throw Error(fmt::format("a tensor of dimensions {} has too many bytes", to_string(dims)));
  return count;
}

std::int64_t checked_i64(std::uint64_t value) {
  if (!std::in_range<std::int64_t>(value))
    throw Error(fmt::format("the u64 {} is more than Burin computes with (2^63 - 1)", value));
  return static_cast<std::int64_t>(value);
}

/// Truncates towards zero; the nearest value where T cannot hold it, 0 for NaN.
template <typename T>
T to_integer(double value) {
  if (std::isnan(value)) return 0;
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

}  // namespace

std::size_t size_of(Precision precision) { return describe(precision).size; }

std::string_view to_string(Precision precision) { return describe(precision).text; }

Precision precision_from_string(std::string_view word) {
  for (const PrecisionInfo& each : kPrecisions)
    if (each.text == word) return each.precision;
  throw Error(
      fmt::format("'{}' is not a precision (f32, f64, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, bool)", word));
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) text += ',';
    text += shape[i].to_string();
  }
  return text + "]";
}

std::string to_string(const Dims& dims) { return fmt::format("[{}]", fmt::join(dims, ",")); }

std::int64_t element_count(const Dims& dims, std::string_view subject) {
  std::int64_t count = 1;
  bool empty = false;
  bool overflow = false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0)
      throw Error(
          fmt::format("{}: dimension {} is {}; it must not be negative", subject, i, dims[i]));
    empty = empty || dims[i] == 0;
    overflow = overflow || __builtin_mul_overflow(count, dims[i], &count);
  }
  if (empty) return 0;
  if (overflow)
    throw Error(
        fmt::format("{}: the dimensions {} have too many elements", subject, to_string(dims)));
  return count;
}

Tensor::Tensor(Precision precision, Dims dims, std::shared_ptr<const std::byte> data,
               std::size_t bytes)
    : precision_(precision),
      dims_(std::move(dims)),
      size_(checked_size(precision, dims_)),
      data_(std::move(data)) {
  if (bytes != this->bytes())
    throw Error(fmt::format("a tensor {}{} takes {} bytes; {} are given", to_string(precision),
                            to_string(dims_), this->bytes(), bytes));
  if (data_ == nullptr && bytes != 0) throw Error("a tensor's data is a null pointer");
  // Model files do not align what they hold; elements are read through typed pointers.
  if (reinterpret_cast<std::uintptr_t>(data_.get()) % size_of(precision) != 0) {
    auto copy = allocate(bytes);
    std::memcpy(copy.get(), data_.get(), bytes);
    data_ = std::move(copy);
  }
}

Tensor Tensor::zeros(Precision precision, const Dims& dims) {
  const std::size_t bytes =
      static_cast<std::size_t>(checked_size(precision, dims)) * size_of(precision);
  auto data = allocate(bytes);
  std::memset(data.get(), 0, bytes);
  return {precision, dims, std::move(data), bytes};
}

Tensor Tensor::scalar(Precision precision, double value) {
  Tensor tensor = zeros(precision, {});
  tensor.set(0, value);
  return tensor;
}

namespace {

template <typename T>
Tensor copy_of(Precision precision, const Dims& dims, const std::vector<T>& values) {
  Tensor tensor = Tensor::zeros(precision, dims);
  if (static_cast<std::size_t>(tensor.size()) != values.size())
    throw Error(fmt::format("a tensor of dimensions {} has {} elements; {} are given",
                            to_string(dims), tensor.size(), values.size()));
  std::copy(values.begin(), values.end(), tensor.mutable_as<T>());
  return tensor;
}

}  // namespace

Tensor Tensor::from_i64(const Dims& dims, const std::vector<std::int64_t>& values) {
  return copy_of(Precision::i64, dims, values);
}

Tensor Tensor::from_f32(const Dims& dims, const std::vector<float>& values) {
  return copy_of(Precision::f32, dims, values);
}

double Tensor::at(std::int64_t i) const {
  switch (precision_) {
    case Precision::f32: return static_cast<double>(as<float>()[i]);
    case Precision::f64: return as<double>()[i];
    case Precision::f16: return static_cast<double>(from_f16(as<std::uint16_t>()[i]));
    case Precision::bf16: return static_cast<double>(from_bf16(as<std::uint16_t>()[i]));
    default: return static_cast<double>(int_at(i));
  }
}

std::int64_t Tensor::int_at(std::int64_t i) const {
  switch (precision_) {
    case Precision::i64: return as<std::int64_t>()[i];
    case Precision::i32: return as<std::int32_t>()[i];
    case Precision::i16: return as<std::int16_t>()[i];
    case Precision::i8: return as<std::int8_t>()[i];
    case Precision::u64: return checked_i64(as<std::uint64_t>()[i]);
    case Precision::u32: return as<std::uint32_t>()[i];
    case Precision::u16: return as<std::uint16_t>()[i];
    case Precision::u8: return as<std::uint8_t>()[i];
    case Precision::boolean: return as<std::uint8_t>()[i] != 0 ? 1 : 0;
    default: return to_integer<std::int64_t>(at(i));
  }
}

void Tensor::set(std::int64_t i, double value) {
  switch (precision_) {
    case Precision::f32: mutable_as<float>()[i] = static_cast<float>(value); break;
    case Precision::f64: mutable_as<double>()[i] = value; break;
    case Precision::f16: mutable_as<std::uint16_t>()[i] = to_f16(value); break;
    case Precision::bf16: mutable_as<std::uint16_t>()[i] = to_bf16(value); break;
    case Precision::i64: mutable_as<std::int64_t>()[i] = to_integer<std::int64_t>(value); break;
    case Precision::i32: mutable_as<std::int32_t>()[i] = to_integer<std::int32_t>(value); break;
    case Precision::i16: mutable_as<std::int16_t>()[i] = to_integer<std::int16_t>(value); break;
    case Precision::i8: mutable_as<std::int8_t>()[i] = to_integer<std::int8_t>(value); break;
    case Precision::u64: mutable_as<std::uint64_t>()[i] = to_integer<std::uint64_t>(value); break;
    case Precision::u32: mutable_as<std::uint32_t>()[i] = to_integer<std::uint32_t>(value); break;
    case Precision::u16: mutable_as<std::uint16_t>()[i] = to_integer<std::uint16_t>(value); break;
    case Precision::u8: mutable_as<std::uint8_t>()[i] = to_integer<std::uint8_t>(value); break;
    case Precision::boolean: mutable_as<std::uint8_t>()[i] = value != 0 ? 1 : 0; break;
  }
}

void Tensor::set_int(std::int64_t i, std::int64_t value) {
  switch (precision_) {
    case Precision::i64: mutable_as<std::int64_t>()[i] = value; break;
    case Precision::i32: mutable_as<std::int32_t>()[i] = static_cast<std::int32_t>(value); break;
    case Precision::i16: mutable_as<std::int16_t>()[i] = static_cast<std::int16_t>(value); break;
    case Precision::i8: mutable_as<std::int8_t>()[i] = static_cast<std::int8_t>(value); break;
    case Precision::u64: mutable_as<std::uint64_t>()[i] = static_cast<std::uint64_t>(value); break;
    case Precision::u32: mutable_as<std::uint32_t>()[i] = static_cast<std::uint32_t>(value); break;
    case Precision::u16: mutable_as<std::uint16_t>()[i] = static_cast<std::uint16_t>(value); break;
    case Precision::u8: mutable_as<std::uint8_t>()[i] = static_cast<std::uint8_t>(value); break;
    case Precision::boolean: mutable_as<std::uint8_t>()[i] = value != 0 ? 1 : 0; break;
    default: set(i, static_cast<double>(value)); break;
  }
}

}  // namespace burin
