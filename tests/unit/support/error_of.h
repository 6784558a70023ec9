#pragma once

#include <string>

#include <gtest/gtest.h>

#include "burin/error.h"

namespace burin::test {

/// The message of the burin::Error that `action` throws.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace burin::test

/// Expects the statement to throw a burin::Error whose message contains `part`.
#define EXPECT_ERROR(statement, part)             \
  EXPECT_PRED_FORMAT2(::testing::IsSubstring, part, \
                      burin::test::error_of([&] { static_cast<void>(statement); }))
