#include <array>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/onnx_model.h"

namespace burin::frontend {
namespace {

struct ElementType {
  std::string_view name;
  std::optional<Precision> precision;
};

/// By TensorProto.DataType, which starts at 1.
constexpr std::array<ElementType, 16> kElementTypes = {{{"FLOAT", Precision::f32},
                                                        {"UINT8", Precision::u8},
                                                        {"INT8", Precision::i8},
                                                        {"UINT16", Precision::u16},
                                                        {"INT16", Precision::i16},
                                                        {"INT32", Precision::i32},
                                                        {"INT64", Precision::i64},
                                                        {"STRING", std::nullopt},
                                                        {"BOOL", Precision::boolean},
                                                        {"FLOAT16", Precision::f16},
                                                        {"DOUBLE", Precision::f64},
                                                        {"UINT32", Precision::u32},
                                                        {"UINT64", Precision::u64},
                                                        {"COMPLEX64", std::nullopt},
                                                        {"COMPLEX128", std::nullopt},
                                                        {"BFLOAT16", Precision::bf16}}};

}  // namespace

Precision precision_from_onnx(std::int64_t data_type) {
  const bool known =
      data_type >= 1 && data_type <= static_cast<std::int64_t>(kElementTypes.size());
  if (!known) throw Error(fmt::format("element type {} is not supported", data_type));
  const ElementType& type = kElementTypes[static_cast<std::size_t>(data_type - 1)];
  if (!type.precision) throw Error(fmt::format("element type {} is not supported", type.name));
  return *type.precision;
}

}  // namespace burin::frontend
