// The attentions of ONNX Runtime's exporters (domain com.microsoft), as
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md states them and its
// CPU kernels compute them.

#include <array>
#include <optional>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/attention_builder.h"
#include "frontend/cache_update.h"
#include "frontend/operators.h"
#include "frontend/rotary.h"
#include "graph/positions.h"

namespace burin::frontend {
namespace {

using Axes = std::vector<std::int64_t>;

/// What the three operators share.
class ContribAttention {
 protected:
  explicit ContribAttention(NodeImporter& n) : n_(n), build_(n) {
    heads_ = n.int_attribute("num_heads", 0);
    if (heads_ <= 0) throw Error("attribute 'num_heads' is missing");
  }

  /// An attribute that changes the meaning, unless it has this value.
  void refuse_other_than(std::string_view key, std::int64_t value) {
    if (n_.int_attribute(key, value) != value)
      throw Error(fmt::format("attribute '{}' is not supported", key));
  }

  void refuse_input(std::size_t i, std::string_view name) const {
    if (n_.has_input(i)) throw Error(fmt::format("'{}' is not supported", name));
  }

  /// `width` elements of the dimension from `begin` on.
  ValueId cut(ValueId x, std::int64_t axis, const Expr& begin, const Expr& width) {
    return n_.slice(x, axis, begin, begin + width);
  }

  /// One of a dimension, which is gone then.
  ValueId pick(ValueId x, std::int64_t axis, std::int64_t index) {
    return n_.apply(OpKind::Squeeze, {cut(x, axis, index, 1)}, {{"axes", Axes{axis}}});
  }

  void read_scale() {
    // 0 is "not stated", too.
    const double scale = n_.float_attribute("scale", 0);
    parts_.scale = build_.scale(parts_.query, scale != 0 ? std::optional(scale) : std::nullopt);
    parts_.softmax_precision = n_.value(parts_.query).precision;
  }

  void hide_later_keys() {
    const Expr queries = build_.dim(parts_.query, 2), keys = build_.dim(parts_.key, 2);
    parts_.masks.push_back(
        {build_.compare(OpKind::LessOrEqual, queries, keys, keys - queries), false});
  }

  /// [B or 1, heads or 1, S, T]
  void add_bias_of_scores(std::size_t input) {
    if (!n_.has_input(input)) return;
    const ValueId bias = n_.input(input);
    if (n_.rank(bias) != 4) throw Error("the bias of the scores must have four dimensions");
    n_.assume_dim(bias, 2, build_.dim(parts_.query, 2));
    n_.assume_dim(bias, 3, build_.dim(parts_.key, 2));
    parts_.bias_may_hide = true;
    add_bias(bias);
  }

  void add_bias(ValueId bias) {
    parts_.bias = parts_.bias == kNone ? bias : n_.apply(OpKind::Add, {parts_.bias, bias});
  }

  /// Keys of padding get a number added that is finite: a row of nothing else still has its
  /// average. The mask has an element for each key, [B, T] or [B, S, T], or the number of keys,
  /// [B].
  void add_padding(std::size_t input) {
    const double added = n_.float_attribute("mask_filter_value", -10000);
    if (!n_.has_input(input)) return;
    const ValueId mask = n_.input(input);
    const std::int64_t rank = n_.rank(mask);
    ValueId is_key = kNone;
    n_.assume_dim(mask, 0, build_.dim(parts_.query, 0));
    if (rank == 2 || rank == 3)
      n_.assume_dim(mask, static_cast<std::size_t>(rank - 1), build_.dim(parts_.key, 2));
    if (rank == 1) {
      is_key = build_.keys_before(build_.dim(parts_.key, 2), mask);
    } else if (rank == 2 || rank == 3) {
      is_key = n_.apply(OpKind::Unsqueeze, {n_.cast(mask, Precision::boolean)},
                        {{"axes", rank == 2 ? Axes{1, 2} : Axes{1}}});
    } else {
      throw Error("this form of the mask is not supported");
    }
    const ValueId zero = n_.scalar("zero", 0, parts_.query);
    add_bias(n_.apply(OpKind::Where, {is_key, zero, n_.scalar("padding", added, parts_.query)}));
    parts_.bias_may_hide = false;
  }

  NodeImporter& n_;
  AttentionBuilder build_;
  AttentionParts parts_;
  std::int64_t heads_ = 0;
};

// ---- MultiHeadAttention

class MultiHeadAttention : ContribAttention {
 public:
  explicit MultiHeadAttention(NodeImporter& n) : ContribAttention(n) {}

  void convert() {
    refuse_input(kPastLength, "past_sequence_length");
    refuse_input(kIndirection, "cache_indirection");
    read_operands();
    parts_.key = build_.append(n_.optional_input(kPastKey), parts_.key);
    parts_.value = build_.append(n_.optional_input(kPastValue), parts_.value);
    read_scale();
    add_padding(kPadding);
    add_bias_of_scores(kScoreBias);
    if (n_.int_attribute("unidirectional", 0) != 0) hide_later_keys();
    n_.finish(build_.merge_heads(build_.build(parts_).output));
    if (n_.is_asked(1)) n_.finish(n_.apply(OpKind::Identity, {parts_.key}), 1);
    if (n_.is_asked(2)) n_.finish(n_.apply(OpKind::Identity, {parts_.value}), 2);
  }

 private:
  enum Operand : std::size_t {
    kQuery,
    kKey,
    kValue,
    kBias,
    kPadding,
    kScoreBias,
    kPastKey,
    kPastValue,
    kPastLength,
    kIndirection
  };

  /// Separate, or keys and values side by side in dimension 3, or queries too.
  void read_operands() {
    const ValueId query = n_.input(kQuery);
    if (n_.rank(query) == 5) {
      refuse_input(kBias, "a bias of packed operands");
      parts_.query = unpack(query, 0);
      parts_.key = unpack(query, 1);
      parts_.value = unpack(query, 2);
      return;
    }
    const ValueId key = n_.input(kKey);
    if (n_.rank(key) == 5) {
      refuse_input(kBias, "a bias of packed operands");
      parts_.query = build_.split_heads(query, heads_);
      parts_.key = unpack(key, 0);
      parts_.value = unpack(key, 1);
      return;
    }
    const ValueId value = n_.input(kValue);
    if (n_.rank(key) == 4) {
      refuse_input(kBias, "a bias of keys that are split into heads");
      parts_.query = build_.split_heads(query, heads_);
      parts_.key = key;
      parts_.value = value;
      return;
    }
    const Expr width = build_.dim(query, 2), value_width = build_.dim(value, 2);
    parts_.query = build_.split_heads(with_bias(query, 0, width), heads_);
    parts_.key = build_.split_heads(with_bias(key, width, width), heads_);
    parts_.value = build_.split_heads(with_bias(value, width * 2, value_width), heads_);
  }

  ValueId with_bias(ValueId x, const Expr& begin, const Expr& width) {
    if (!n_.has_input(kBias)) return x;
    return n_.apply(OpKind::Add, {x, cut(n_.input(kBias), 0, begin, width)});
  }

  ValueId unpack(ValueId x, std::int64_t which) {
    return build_.transpose(pick(x, 3, which), {0, 2, 1, 3});
  }
};

// ---- Attention

class ProjectingAttention : ContribAttention {
 public:
  explicit ProjectingAttention(NodeImporter& n) : ContribAttention(n) {}

  void convert() {
    refuse_other_than("do_rotary", 0);
    refuse_other_than("past_present_share_buffer", 0);
    n_.ignore_attribute("rotary_embedding_dim");
    refuse_input(kPastLength, "past_sequence_length");
    const std::array<Expr, 3> widths = read_widths();
    parts_.query = project(0, widths[0]);
    parts_.key = with_past(0, project(widths[0], widths[1]));
    parts_.value = with_past(1, project(widths[0] + widths[1], widths[2]));
    read_scale();
    add_padding(kPadding);
    add_bias_of_scores(kScoreBias);
    if (n_.int_attribute("unidirectional", 0) != 0) hide_later_keys();
    n_.finish(build_.merge_heads(build_.build(parts_).output));
    if (n_.is_asked(1))
      n_.finish(n_.apply(OpKind::Concat, {stacked(parts_.key), stacked(parts_.value)},
                         {{"axis", std::int64_t{0}}}),
                1);
  }

 private:
  enum Operand : std::size_t { kInput, kWeights, kBias, kPadding, kPast, kScoreBias, kPastLength };

  std::array<Expr, 3> read_widths() {
    const std::vector<std::int64_t> sizes = n_.ints_attribute("qkv_hidden_sizes");
    if (sizes.size() == 3) return {sizes[0], sizes[1], sizes[2]};
    if (!sizes.empty()) throw Error("qkv_hidden_sizes must have three elements");
    const Expr each = floor_div(build_.dim(n_.input(kWeights), 1), 3);
    return {each, each, each};
  }

  /// Three products with constant weights are better than parts of one that must be copied apart.
  ValueId project(const Expr& begin, const Expr& width) {
    const ValueId weights = cut(n_.input(kWeights), 1, begin, width);
    ValueId result = n_.apply(OpKind::MatMul, {n_.input(kInput), weights});
    if (n_.has_input(kBias))
      result = n_.apply(OpKind::Add, {result, cut(n_.input(kBias), 0, begin, width)});
    return build_.split_heads(result, heads_);
  }

  ValueId with_past(std::int64_t which, ValueId x) {
    return n_.has_input(kPast) ? build_.append(pick(n_.input(kPast), 0, which), x) : x;
  }

  ValueId stacked(ValueId x) { return n_.apply(OpKind::Unsqueeze, {x}, {{"axes", Axes{0}}}); }
};

// ---- GroupQueryAttention

/// The number of keys that each sequence of a batch has is data: seqlens_k + 1, of which the last S
/// are new. Shorter sequences have them in front of others: new keys overwrite what is padding of
/// the past.
///
/// The past is what it is called, not a buffer with room for more: the present has the keys of the
/// past and the new ones, whatever total_sequence_length says.
class GroupQueryAttention : ContribAttention {
 public:
  explicit GroupQueryAttention(NodeImporter& n) : ContribAttention(n) {}

  void convert() {
    refuse_other_than("smooth_softmax", 0);
    refuse_input(kSink, "head_sink");
    check_quantization();
    read_operands();
    rotate();
    if (n_.has_input(kPastKey) != n_.has_input(kPastValue))
      throw Error("past_key and past_value must be given together");
    parts_.key = with_past(kPastKey, parts_.key);
    parts_.value = with_past(kPastValue, parts_.value);
    parts_.softcap = n_.float_attribute("softcap", 0);
    read_scale();
    read_masks();
    n_.finish(build_.merge_heads(build_.build(parts_).output));
    if (n_.is_asked(1)) n_.finish(parts_.key, 1);
    if (n_.is_asked(2)) n_.finish(parts_.value, 2);
  }

 private:
  enum Operand : std::size_t {
    kQuery,
    kKey,
    kValue,
    kPastKey,
    kPastValue,
    kLastKeys,
    kTotal,
    kCos,
    kSin,
    kPositions,
    kScoreBias,
    kSink
  };

  void check_quantization() {
    for (const char* key : {"k_quant_type", "v_quant_type"})
      if (n_.string_attribute(key, "NONE") != "NONE")
        throw Error(fmt::format("attribute '{}' is not supported", key));
    refuse_other_than("kv_cache_bit_width", 0);
    refuse_other_than("qk_output", 0);
  }

  void read_operands() {
    if (n_.has_input(kKey) != n_.has_input(kValue))
      throw Error("key and value must be given together");
    const std::int64_t key_heads = n_.int_attribute("kv_num_heads", 0);
    if (key_heads <= 0 || heads_ % key_heads != 0)
      throw Error("kv_num_heads must divide num_heads");
    ValueId query = n_.input(kQuery);
    ValueId key = n_.optional_input(kKey), value = n_.optional_input(kValue);
    if (key == kNone) {  // all three side by side
      const Expr size = floor_div(build_.dim(query, 2), Expr(key_heads) * 2 + heads_);
      const Expr width = size * heads_, key_width = size * key_heads;
      key = cut(query, 2, width, key_width);
      value = cut(query, 2, width + key_width, key_width);
      query = cut(query, 2, 0, width);
    }
    parts_.query = build_.split_heads(query, heads_);
    parts_.key = build_.split_heads(key, key_heads);
    parts_.value = build_.split_heads(value, key_heads);
    queries_ = build_.dim(parts_.query, 2);
    past_ = n_.has_input(kPastKey) ? build_.dim(n_.input(kPastKey), 2) : Expr(0);
    // A sequence that is alone has as many keys as there are.
    is_ragged_ = n_.has_input(kPastKey) && build_.dim(parts_.query, 0) != Expr(1);
  }

  /// How many keys each sequence has from earlier: i64 [B].
  ValueId past_lengths() {
    if (!is_ragged_) return n_.integers("past", {past_});
    if (lengths_ == kNone) {
      const ValueId last = n_.cast(n_.input(kLastKeys), Precision::i64);
      const ValueId length = n_.apply(OpKind::Add, {last, n_.integers("new", {1 - queries_})});
      lengths_ = n_.apply(OpKind::Max, {length, n_.integers("none", {Expr(0)})});
    }
    return lengths_;
  }

  /// The positions of the new keys: i64 [B or 1, S].
  ValueId new_positions() {
    const ValueId first = n_.apply(OpKind::Unsqueeze, {past_lengths()}, {{"axes", Axes{1}}});
    return n_.apply(OpKind::Add, {first, add_positions(n_.graph(), queries_, 1, 2)});
  }

  void rotate() {
    const bool interleaved = n_.int_attribute("rotary_interleaved", 0) != 0;
    if (n_.int_attribute("do_rotary", 0) == 0) return;
    const ValueId positions = n_.has_input(kPositions) ? n_.input(kPositions) : new_positions();
    const auto angles = [&](std::size_t cache) {
      return n_.apply(OpKind::Unsqueeze, {rows_at(n_, n_.input(cache), positions)},
                      {{"axes", Axes{1}}});
    };
    const ValueId cos = angles(kCos), sin = angles(kSin);
    const Expr size = build_.dim(cos, 3) * 2;
    parts_.query = rotate_pairs(n_, parts_.query, cos, sin, interleaved, size);
    parts_.key = rotate_pairs(n_, parts_.key, cos, sin, interleaved, size);
  }

  ValueId with_past(std::size_t input, ValueId x) {
    if (!is_ragged_) return build_.append(n_.optional_input(input), x);
    const ValueId room = n_.apply(
        OpKind::Expand, {n_.scalar("room", 0, x), n_.integers("new_keys", n_.value(x).shape)});
    CacheUpdate update;
    update.cache = build_.append(n_.optional_input(input), room);
    update.update = x;
    update.first = past_lengths();
    return write_rows(n_, update);
  }

  void read_masks() {
    const Expr keys = build_.dim(parts_.key, 2);
    const std::int64_t window = n_.int_attribute("local_window_size", -1);
    // Tiles of keys are skipped by positions alone; what is shorter hides more.
    parts_.masks.push_back({build_.compare(OpKind::LessOrEqual, queries_, keys, past_), false});
    if (is_ragged_)
      parts_.masks.push_back(
          {build_.compare_by_batch(OpKind::LessOrEqual, queries_, keys, past_lengths()), false});
    if (window > 0 && is_ragged_) {
      const ValueId first =
          n_.apply(OpKind::Sub, {past_lengths(), n_.integers("window", {Expr(window - 1)})});
      parts_.masks.push_back(
          {build_.compare_by_batch(OpKind::GreaterOrEqual, queries_, keys, first), false});
    } else if (window > 0) {
      parts_.masks.push_back(
          {build_.compare(OpKind::GreaterOrEqual, queries_, keys, past_ - window + 1), false});
    }
    add_bias_of_scores(kScoreBias);
  }

  Expr queries_, past_;
  bool is_ragged_ = false;
  ValueId lengths_ = kNone;
};

}  // namespace

std::vector<Operator> contrib_attention_operators() {
  return {
      {{"com.microsoft",
        "Attention",
        {},
        "do_rotary, a shared buffer of past and present, masks of 2*B or [B, 1, M, M] elements"},
       [](NodeImporter& n) { ProjectingAttention(n).convert(); }},
      {{"com.microsoft",
        "GroupQueryAttention",
        {},
        "smooth_softmax, head_sink, quantized caches, a shared buffer of past and present"},
       [](NodeImporter& n) { GroupQueryAttention(n).convert(); }},
      {{"com.microsoft",
        "MultiHeadAttention",
        {},
        "a bias of packed operands, past_sequence_length, cache_indirection, masks of 3*B+2 "
        "elements"},
       [](NodeImporter& n) { MultiHeadAttention(n).convert(); }},
  };
}

}  // namespace burin::frontend
