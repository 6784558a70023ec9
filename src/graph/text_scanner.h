// The lowest level of the parser: characters, blanks and comments, words, positions of errors.

#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "burin/expr.h"
#include "support/expr_node.h"

namespace burin::text {

/// The characters of a text, with what all rules need: blanks, comments, words, positions.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::size_t position() const { return position_; }
  bool at_end() {
    skip_blanks();
    return position_ == text_.size();
  }

  void skip_blanks() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++position_;
      } else if (text_.substr(position_, 2) == "//") {
        position_ = std::min(text_.find('\n', position_), text_.size());
      } else {
        return;
      }
    }
  }

  /// The next character that is not blank; 0 at the end.
  char peek() {
    skip_blanks();
    return position_ < text_.size() ? text_[position_] : '\0';
  }
  bool accept(std::string_view token) {
    skip_blanks();
    if (text_.substr(position_, token.size()) != token) return false;
    position_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail("expected '{}'{}", token, found());
  }

  /// An identifier, which may be empty.
  std::string_view word() {
    skip_blanks();
    const std::size_t start = position_;
    if (position_ < text_.size() && starts_identifier(text_[position_]))
      while (position_ < text_.size() && continues_identifier(text_[position_])) ++position_;
    return text_.substr(start, position_ - start);
  }
  std::string_view peek_word() {
    const std::size_t start = position_;
    const std::string_view result = word();
    position_ = start;
    return result;
  }
  bool accept_word(std::string_view wanted) {
    if (peek_word() != wanted) return false;
    word();
    return true;
  }

  /// What may be a number: its characters, not its grammar.
  std::string_view number() {
    skip_blanks();
    const std::size_t start = position_;
    while (position_ < text_.size() && (continues_identifier(text_[position_]) ||
                                        text_[position_] == '-' || text_[position_] == '+'))
      ++position_;
    if (start == position_) fail("expected a number{}", found());
    return text_.substr(start, position_ - start);
  }

  std::string string() {
    expect("\"");
    std::string result;
    for (;;) {
      if (position_ == text_.size() || text_[position_] == '\n') fail("the string has no end");
      const char c = text_[position_++];
      if (c == '"') return result;
      if (c != '\\') {
        result += c;
        continue;
      }
      const char escaped = position_ < text_.size() ? text_[position_++] : '\0';
      if (escaped == '"' || escaped == '\\') {
        result += escaped;
      } else if (escaped == 'x') {
        unsigned byte = 0;
        const std::string_view digits = text_.substr(position_, 2);
        const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
        if (digits.size() != 2 || end.ptr != digits.data() + 2) fail("expected two digits");
        result += static_cast<char>(byte);
        position_ += 2;
      } else {
        fail("'\\{}' means nothing", escaped);
      }
    }
  }

  /// An identifier or a string.
  std::string name() {
    if (peek() == '"') return string();
    const std::string_view result = word();
    if (result.empty()) fail("expected a name{}", found());
    return std::string(result);
  }

  /// An expression: all up to one of `ends` outside of parentheses, on this line.
  Expr expression(std::string_view ends) {
    skip_blanks();
    const std::size_t start = position_;
    int open = 0;
    for (; position_ < text_.size(); ++position_) {
      const char c = text_[position_];
      if (c == '\n' || text_.substr(position_, 2) == "//") break;
      if (open == 0 && ends.find(c) != std::string_view::npos) break;
      if (c == '(') ++open;
      if (c == ')') --open;
    }
    return parse_expression(start, position_);
  }
  /// The same up to a word between blanks, if that is on this line, before any string.
  std::optional<Expr> expression_before(std::string_view token) {
    skip_blanks();
    const std::size_t start = position_;
    const std::size_t line_end = std::min(text_.find_first_of("\n\"", start), text_.size());
    const std::size_t end = text_.substr(0, line_end).find(token, start);
    if (end == std::string_view::npos) return std::nullopt;
    position_ = end + token.size();
    return parse_expression(start, end);
  }

  /// Runs `function`; its errors get the position where it starts.
  template <typename Function>
  auto located(std::size_t position, const Function& function) {
    try {
      return function();
    } catch (const Error& error) {
      position_ = position;
      throw_error(error.what());
    }
  }

  template <typename... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    throw_error(fmt::format(format, std::forward<Arguments>(arguments)...));
  }
  void go_to(std::size_t position) { position_ = position; }

 private:
  Expr parse_expression(std::size_t start, std::size_t end) {
    return located(start, [&] { return Expr::parse(text_.substr(start, end - start)); });
  }

  std::string found() const {
    if (position_ >= text_.size()) return ", found the end of the text";
    return fmt::format(", found '{}'", text_[position_]);
  }

  [[noreturn]] void throw_error(const std::string& what) const {
    const std::string_view before = text_.substr(0, position_);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const std::size_t column = position_ - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    throw Error(fmt::format("line {}, column {}: {}", line, column, what));
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

}  // namespace burin::text
