#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "burin/export.h"
#include "burin/expr.h"

namespace burin {

/// The element type of a tensor. Kernels know f32, f64, f16, bf16, i64, i32, i8, u8 and boolean; what
/// has other integers is computed by the interpreter, those of u64 as far as they fit i64.
enum class Precision : std::uint8_t {
  f32,
  f64,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean
};

/// Bytes of one element (booleans take one).
BURIN_EXPORT std::size_t size_of(Precision precision);
/// "f32", "bf16", "bool", ...
BURIN_EXPORT std::string_view to_string(Precision precision);
/// The inverse of to_string; throws burin::Error for another word.
BURIN_EXPORT Precision precision_from_string(std::string_view word);
constexpr bool is_float(Precision p) {
  return p == Precision::f32 || p == Precision::f64 || p == Precision::f16 || p == Precision::bf16;
}

/// Dimensions from outermost to innermost.
using Shape = std::vector<Expr>;
using Dims = std::vector<std::int64_t>;
BURIN_EXPORT std::string to_string(const Shape& shape);
BURIN_EXPORT std::string to_string(const Dims& dims);

/// The number of elements; throws burin::Error (naming `subject`) on a negative dimension or
/// overflow.
BURIN_EXPORT std::int64_t element_count(const Dims& dims, std::string_view subject);

/// A dense, row-major tensor of known contents. The bytes are shared and never change.
class BURIN_EXPORT Tensor {
 public:
  Tensor() = default;
  /// Takes `data` (owned or mapped memory kept alive by the pointer); throws if `bytes` does not
  /// fit.
  Tensor(Precision precision, Dims dims, std::shared_ptr<const std::byte> data, std::size_t bytes);
  /// Zero-filled, writable through mutable_data() until it is shared.
  static Tensor zeros(Precision precision, const Dims& dims);
  static Tensor scalar(Precision precision, double value);
  static Tensor from_i64(const Dims& dims, const std::vector<std::int64_t>& values);
  static Tensor from_f32(const Dims& dims, const std::vector<float>& values);

  Precision precision() const { return precision_; }
  const Dims& dims() const { return dims_; }
  std::int64_t size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * size_of(precision_); }
  const std::byte* data() const { return data_.get(); }
  std::byte* mutable_data() { return const_cast<std::byte*>(data_.get()); }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  template <typename T>
  T* mutable_as() {
    return reinterpret_cast<T*>(mutable_data());
  }
  /// Element i converted to double / i64 (whatever the precision).
  double at(std::int64_t i) const;
  std::int64_t int_at(std::int64_t i) const;
  void set(std::int64_t i, double value);
  void set_int(std::int64_t i, std::int64_t value);

 private:
  Precision precision_ = Precision::f32;
  Dims dims_;
  std::int64_t size_ = 0;
  std::shared_ptr<const std::byte> data_;
};

}  // namespace burin
