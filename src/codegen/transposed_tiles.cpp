#include "codegen/transposed_tiles.h"

#include "codegen/transpose.h"

namespace burin::codegen {
namespace {

/// Elements of a block of 128 bits.
constexpr std::int64_t kQuad = 4;

}  // namespace

bool TransposedTiles::can_hold(const Tile& t) const { return is_square(t) || (t.rows > 1 && t.rows <= kQuad); }

void TransposedTiles::load(const Step& s, const Tile& t, std::int64_t vector) {
  Reader reader(*this, s, t, vector);
  std::vector<VReg> tile;
  for (std::int64_t k = 0; k < vectors_in_memory(t); ++k) tile.push_back(reader.next());
  transpose_into(s.expression->out, std::move(tile), t, vector);
}

void TransposedTiles::store(const Step& s, const Tile& t, std::int64_t vector) {
  std::vector<VReg> tile;
  for (std::int64_t r = 0; r < t.rows; ++r) tile.push_back(elementwise_.in_register(values_.element(s.expression->in[0], r, vector)));
  tile.resize(static_cast<std::size_t>(vectors_in_memory(t)), tile.front());
  tile = transpose(std::move(tile), t);
  is_square(t) ? store_square(s, t, vector, tile) : store_quads(s, t, vector, tile);
}

/// Into the nearest cache for whole tiles; lane by lane it would cost more than it saves. A tile may begin in the middle of
/// lines, which the one in front has asked for: the last of its rows counts.
void TransposedTiles::prefetch(const Step& s, const Tile& t, std::int64_t vector) {
  const bool second_level = s.expression->second_level;
  if (!is_square(t) && !second_level) return;
  const std::int64_t last_row = (t.rows - 1) * access_.element_bytes(s.expression->memory);
  LaneCursor lanes(*this, s, t, vector);
  for (std::int64_t lane = 0; lane < target_.lanes(); ++lane) {
    Memory mem = lanes.next();
    mem.displacement += static_cast<std::int32_t>(last_row);
    Instruction i = access(VOp::prefetch, mem);
    i.imm = second_level ? 1 : 0;
    b_.append(i);
  }
}

std::int64_t TransposedTiles::vectors_in_memory(const Tile& t) const { return is_square(t) ? target_.lanes() : kQuad; }

void TransposedTiles::transpose_into(linear::ValueId v, std::vector<VReg> tile, const Tile& t, std::int64_t vector) {
  tile = transpose(std::move(tile), t);
  for (std::int64_t r = 0; r < t.rows; ++r) values_.slot(v, r, vector) = tile[static_cast<std::size_t>(r)];
}

std::vector<VReg> TransposedTiles::transpose(std::vector<VReg> tile, const Tile& t) {
  return is_square(t) ? emit_transpose(b_, std::move(tile), target_) : emit_transpose_in_blocks(b_, std::move(tile));
}

void TransposedTiles::store_square(const Step& s, const Tile& t, std::int64_t vector, const std::vector<VReg>& tile) {
  const std::uint32_t done = b_.new_label();
  LaneCursor lanes(*this, s, t, vector);
  for (std::int64_t lane = 0; lane < target_.lanes(); ++lane) {
    const Memory mem = lanes.next();
    if (t.count != kNoReg) b_.jump_if(Cond::le, t.count, immediate(lane), done);
    Instruction i = access(access_.is_boolean(*s.expression) ? VOp::store_bool : VOp::store, mem);
    i.src[0] = reg(tile[static_cast<std::size_t>(lane)]);
    b_.append(i);
  }
  b_.label(done);
}

void TransposedTiles::store_quads(const Step& s, const Tile& t, std::int64_t vector, const std::vector<VReg>& tile) {
  const VReg mask = mask_of_quads(s, t);
  for (std::int64_t g = 0; g < kQuad; ++g) {
    Instruction i = quads(s, t, vector, g, access_.is_boolean(*s.expression) ? VOp::store_bool_quads : VOp::store_quads);
    i.mask = mask;
    i.src[0] = reg(tile[static_cast<std::size_t>(g)]);
    b_.append(i);
  }
}

VReg TransposedTiles::mask_of_quads(const Step& s, const Tile& t) {
  const bool masked = t.rows < kQuad && target_.mask_registers > 0 && !access_.is_boolean(*s.expression);
  return masked ? access_.first_lanes(prologue_.parameter(t.rows)) : kNoReg;
}

Instruction TransposedTiles::quads(const Step& s, const Tile& t, std::int64_t vector, std::int64_t first_lane, VOp op) {
  Instruction i = access(op, access_.row_address(access_.start_of_vector(s, vector), s.displacement, first_lane, s.lane_stride));
  i.imm = t.rows;
  i.stride = prologue_.parameter(s.lane_stride * kQuad);
  if (t.count != kNoReg) i.count = b_.op(VOp::sub64, {reg(t.count), immediate(first_lane)});
  i.temps = {b_.general(), b_.vector()};
  i.temp_count = 2;
  return i;
}

TransposedTiles::LaneCursor::LaneCursor(const TransposedTiles& tiles, const Step& s, const Tile& t, std::int64_t vector)
    : b_(tiles.b_), prologue_(tiles.prologue_), access_(tiles.access_), s_(s), group_(access_.start_of_vector(s, vector)) {
  if (t.count == kNoReg) return;
  last_ = b_.op(VOp::sub64, {reg(t.count), immediate(1)});
  bytes_ = prologue_.parameter(s.lane_stride);
}

/// The address of the next lane, a vector along the rows' axis. Lanes that are off repeat the last that is on: never
/// outside of the tensor.
Memory TransposedTiles::LaneCursor::next() {
  constexpr std::int64_t kLanesPerPointer = 4;
  const std::int64_t lane = lane_++;
  if (last_ != kNoReg) {
    const VReg on = b_.op(VOp::min64, {reg(last_), immediate(lane)});
    const VReg offset = b_.op(VOp::mul64, {reg(on), reg(bytes_)});
    return {group_, offset, 1, static_cast<std::int32_t>(s_.displacement)};
  }
  if (lane > 0 && lane % kLanesPerPointer == 0)
    group_ = b_.op(VOp::add64, {reg(group_), prologue_.parameter_operand(s_.lane_stride * kLanesPerPointer)});
  return access_.row_address(group_, s_.displacement, lane % kLanesPerPointer, s_.lane_stride);
}

TransposedTiles::Reader::Reader(TransposedTiles& tiles, const Step& s, const Tile& t, std::int64_t vector)
    : tiles_(tiles), s_(s), t_(t), vector_(vector) {
  if (tiles.is_square(t))
    lanes_.emplace(tiles, s, t, vector);
  else
    mask_ = tiles.mask_of_quads(s, t);
}

VReg TransposedTiles::Reader::next() {
  const bool boolean = tiles_.access_.is_boolean(*s_.expression);
  Instruction i = lanes_ ? access(boolean ? VOp::load_bool : VOp::load, lanes_->next())
                         : next_quads(boolean ? VOp::load_bool_quads : VOp::load_quads);
  i.dst = tiles_.b_.vector();
  tiles_.b_.append(i);
  return i.dst;
}

Instruction TransposedTiles::Reader::next_quads(VOp op) {
  Instruction i = tiles_.quads(s_, t_, vector_, quad_++, op);
  i.mask = mask_;
  return i;
}

}  // namespace burin::codegen
