#include "tokenize/element_types.h"

namespace burin {
namespace {

/// What linear/words.h computes, and movement.
bool is_carved_of_integers(OpKind op) {
  switch (op) {
    case OpKind::Add:
    case OpKind::Sub:
    case OpKind::Mul:
    case OpKind::Square:
    case OpKind::Div:
    case OpKind::Mod:
    case OpKind::Pow:
    case OpKind::Min:
    case OpKind::Max:
    case OpKind::Neg:
    case OpKind::Abs:
    case OpKind::Sign:
    case OpKind::Relu:
    case OpKind::PRelu:
    case OpKind::Equal:
    case OpKind::Less:
    case OpKind::LessOrEqual:
    case OpKind::Greater:
    case OpKind::GreaterOrEqual:
    case OpKind::Where:
    case OpKind::Clip:
    case OpKind::Cast:
    case OpKind::Identity:
    case OpKind::ReduceSum:
    case OpKind::ReduceMean:
    case OpKind::ReduceMax:
    case OpKind::ReduceMin:
    case OpKind::ReduceProd: return true;
    default: return info(op).category == OpCategory::movement;
  }
}

bool is_logical(OpKind op) {
  return op == OpKind::Not || op == OpKind::And || op == OpKind::Or || op == OpKind::Xor;
}

bool is_carved_of_booleans(OpKind op) {
  return is_logical(op) || op == OpKind::Equal || op == OpKind::Where || op == OpKind::Cast || op == OpKind::Identity;
}

}  // namespace

bool is_carved_of(OpKind op, Precision precision) {
  switch (precision) {
    case Precision::f32: return op != OpKind::ArgMax && !is_logical(op);
    case Precision::i32: return is_carved_of_integers(op);
    case Precision::i64: return is_carved_of_integers(op) && op != OpKind::ReduceProd;
    case Precision::boolean: return is_carved_of_booleans(op);
    default: return false;
  }
}

}  // namespace burin
