#pragma once

#include <cstddef>
#include <optional>

#include "linear/linear_ir.h"

namespace burin::linear {

/// An access of every second element has a partner where another one of its block goes to those in between:
///
///     %a = load %x[2*_n]        %b = load %x[2*_n + 1]
///
/// Together they are whole vectors of memory. Gives the position of the partner of the expression at `position`.
std::optional<std::size_t> partner_in_pairs(const Block& block, std::size_t position, const std::string& lane_variable);

}  // namespace burin::linear
