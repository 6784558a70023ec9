#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "burin/type.h"

namespace burin::frontend {

/// The size of a dense tensor; throws burin::Error that names `subject` where it is no number.
std::size_t byte_count(Precision precision, const Dims& dims, const std::string& subject);

/// A tensor over bytes of foreign origin, `bytes` of them. They are copied only where they lie
/// misaligned or hold booleans other than 0 and 1.
Tensor tensor_from_bytes(Precision precision, const Dims& dims,
                         std::shared_ptr<const std::byte> data, std::size_t bytes,
                         const std::string& subject);

}  // namespace burin::frontend
