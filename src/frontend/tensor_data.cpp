#include "frontend/tensor_data.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "burin/error.h"

namespace burin::frontend {

static_assert(std::endian::native == std::endian::little, "ONNX data is little-endian");

std::size_t byte_count(Precision precision, const Dims& dims, const std::string& subject) {
  const auto count = static_cast<std::uint64_t>(element_count(dims, subject));
  if (count > std::numeric_limits<std::int64_t>::max() / size_of(precision)) {
    throw Error(fmt::format("{}: the size of {}{} overflows", subject, to_string(precision),
                            to_string(dims)));
  }
  return count * size_of(precision);
}

Tensor tensor_from_bytes(Precision precision, const Dims& dims,
                         std::shared_ptr<const std::byte> data, std::size_t bytes,
                         const std::string& subject) {
  const std::size_t needed = byte_count(precision, dims, subject);
  if (bytes != needed) {
    throw Error(fmt::format("{}: {}{} needs {} bytes, the file gives {}", subject,
                            to_string(precision), to_string(dims), needed, bytes));
  }
  const auto is_bool = [](std::byte b) { return b == std::byte{0} || b == std::byte{1}; };
  const bool aligned = reinterpret_cast<std::uintptr_t>(data.get()) % size_of(precision) == 0;
  const bool sound =
      precision != Precision::boolean || std::all_of(data.get(), data.get() + bytes, is_bool);
  if (aligned && sound && bytes != 0) return Tensor(precision, dims, std::move(data), bytes);

  Tensor tensor = Tensor::zeros(precision, dims);
  if (bytes != 0) std::memcpy(tensor.mutable_data(), data.get(), bytes);
  if (!sound) {
    std::transform(tensor.data(), tensor.data() + bytes, tensor.mutable_data(),
                   [](std::byte b) { return b == std::byte{0} ? b : std::byte{1}; });
  }
  return tensor;
}

}  // namespace burin::frontend
