#include "codegen/vcode.h"

#include <bit>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace burin::codegen {
namespace {

// The words of vcode_ops.def, read by the compiler.

constexpr RegClass class_of(std::string_view word) {
  switch (word.front()) {
    case 'G': return RegClass::general;
    case 'V': return RegClass::vector;
    case 'M': return RegClass::mask;
    default: return RegClass::none;
  }
}

constexpr bool is_flexible(std::string_view word) { return word == "GI" || word == "VX"; }

constexpr VOpInfo make_info(std::string_view name, std::string_view dst, std::string_view s0,
                            std::string_view s1, std::string_view s2, std::string_view flags) {
  const auto has = [flags](char c) { return flags.find(c) != std::string_view::npos; };
  return {name,
          class_of(dst),
          {class_of(s0), class_of(s1), class_of(s2)},
          {is_flexible(s0), is_flexible(s1), is_flexible(s2)},
          has('D'),
          has('L'),
          has('S'),
          has('P'),
          has('J')};
}

constexpr VOpInfo kOps[] = {
#define VCODE_OP(name, dst, s0, s1, s2, flags) make_info(#name, #dst, #s0, #s1, #s2, #flags),
#include "codegen/vcode_ops.def"
};

// The text form.

char letter(RegClass c) {
  switch (c) {
    case RegClass::general: return 'g';
    case RegClass::vector: return 'v';
    case RegClass::mask: return 'm';
    case RegClass::none: break;
  }
  return '?';
}

std::string_view symbol(Cond cond) {
  switch (cond) {
    case Cond::lt: return "<";
    case Cond::le: return "<=";
    case Cond::gt: return ">";
    case Cond::ge: return ">=";
    case Cond::eq: return "==";
    case Cond::ne: return "!=";
    case Cond::unord: return "unord";
  }
  return "?";
}

/// A 32-bit pattern: as a number where it looks like an f32, else in hexadecimal.
std::string pattern(std::int64_t value) {
  const auto bits = static_cast<std::uint32_t>(value);
  const auto f = std::bit_cast<float>(bits);
  if (std::isinf(f)) return f > 0 ? "inf" : "-inf";
  if (bits != 0 && !std::isnormal(f)) return fmt::format("{:#x}", bits);
  const std::string text = fmt::format("{}", f);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

class Printer {
 public:
  Printer(const Program& program, const Instruction& instruction)
      : program_(program), i_(instruction), op_(info(instruction.op)) {}

  std::string text() {
    if (i_.op == VOp::label) {
      emit("L{}:", i_.label);
      if (i_.imm != 0) emit(" align {}", i_.imm);
      return out_;
    }
    if (i_.dst != kNoReg) emit("{} = ", name(i_.dst));
    emit("{}", op_.name);
    if (i_.op == VOp::cmp || i_.op == VOp::jump_if) {
      item(fmt::format("{} {} {}", operand(i_.src[0]), symbol(i_.cond), operand(i_.src[1])));
    } else {
      for (const Operand& s : i_.src)
        if (s.kind != Operand::Kind::none) item(operand(s));
    }
    if (op_.loads || op_.stores) item(memory());
    immediate();
    if (i_.op == VOp::jump || i_.op == VOp::jump_if) item(fmt::format("L{}", i_.label));
    if (i_.mask != kNoReg) item("mask " + name(i_.mask));
    if (i_.count != kNoReg) item("count " + name(i_.count));
    if (i_.stride != kNoReg) item("stride " + name(i_.stride));
    for (std::size_t t = 0; t < i_.temp_count; ++t) item("temp " + name(i_.temps[t]));
    return out_;
  }

 private:
  template <typename... A>
  void emit(fmt::format_string<A...> format, A&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<A>(arguments)...);
  }
  void item(const std::string& text) {
    out_ += first_ ? " " : ", ";
    out_ += text;
    first_ = false;
  }

  std::string name(VReg r) const {
    if (r == kNoReg) return "none";
    const bool known = r < program_.registers.size();
    return fmt::format("{}{}", known ? letter(program_.registers[r]) : '?', r);
  }

  std::string memory() const {
    const Memory& m = i_.mem;
    std::string s = m.base == kNoReg ? "" : name(m.base);
    if (m.index != kNoReg) {
      if (!s.empty()) s += " + ";
      s += name(m.index);
      if (m.scale != 1) s += fmt::format("*{}", m.scale);
    }
    if (s.empty()) return fmt::format("[{}]", m.displacement);
    const std::int64_t d = m.displacement;
    if (d != 0) s += fmt::format(" {} {}", d < 0 ? '-' : '+', d < 0 ? -d : d);
    return "[" + s + "]";
  }

  std::string operand(const Operand& o) const {
    switch (o.kind) {
      case Operand::Kind::none: break;
      case Operand::Kind::reg: return name(o.reg);
      case Operand::Kind::immediate: return fmt::format("{}", o.value);
      case Operand::Kind::constant: return pattern(o.value);
      case Operand::Kind::memory: return memory();
      case Operand::Kind::memory_splat: return "splat " + memory();
    }
    return "none";
  }

  void immediate() {
    switch (i_.op) {
      case VOp::constant: return item(pattern(i_.imm));
      case VOp::spill_load:
      case VOp::spill_store: return item(fmt::format("slot {}", i_.imm));
      case VOp::shuffle128:
      case VOp::permute_in128: return item(fmt::format("{:#04x}", i_.imm));
      case VOp::imm64:
      case VOp::shl_i32:
      case VOp::shr_i32:
      case VOp::sar_i32: return item(fmt::format("{}", i_.imm));
      case VOp::round: {
        static constexpr std::string_view kModes[] = {"nearest", "floor", "ceil", "truncate"};
        const bool known = i_.imm >= 0 && i_.imm < 4;
        return item(known ? std::string(kModes[i_.imm]) : fmt::format("{}", i_.imm));
      }
      default:
        if (i_.imm != 0) item(fmt::format("imm {}", i_.imm));
    }
  }

  const Program& program_;
  const Instruction& i_;
  const VOpInfo& op_;
  std::string out_;
  bool first_ = true;
};

}  // namespace

const VOpInfo& info(VOp op) { return kOps[static_cast<std::size_t>(op)]; }

std::string print(const Program& program, const Instruction& instruction) {
  return Printer(program, instruction).text();
}

std::string print(const Program& program) {
  std::string out;
  std::string_view origin;
  for (const Instruction& i : program.code) {
    const std::string_view from =
        i.origin < program.origins.size() ? std::string_view(program.origins[i.origin]) : "";
    if (from != origin) {
      origin = from;
      if (!origin.empty()) out += fmt::format("  ; {}\n", origin);
    }
    out += fmt::format("{}{}\n", i.op == VOp::label ? "" : "  ", print(program, i));
  }
  return out;
}

}  // namespace burin::codegen
