// Loads and stores with masks, of bytes, and with a stride: right in every lane that is on, and not
// a byte touched beyond them.

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/support/guarded_buffer.h"
#include "tests/unit/x64/vcode_kernel.h"

namespace burin::codegen::test {
namespace {

using burin::test::GuardedBuffer;
using Guard = GuardedBuffer::Guard;

/// A kernel (pointers: from, to; parameters: count, stride) around one load or store.
struct MemoryKernel : Kernel {
  using Kernel::Kernel;
  VReg from = pointer(0), to = pointer(1), count = parameter(0), stride = parameter(1);

  Instruction access(VOp op, VReg base, bool masked) {
    Instruction i;
    i.op = op;
    i.mem = at(base);
    if (masked) {
      i.mask = mask_first(count);
      i.count = count;
    }
    return i;
  }
  VReg append_load(Instruction i) {
    i.dst = b.vector();
    return b.append(i).dst;
  }
  void append_store(Instruction i, VReg value) {
    i.src[0] = reg(value);
    b.append(i);
  }
  Instruction strided(VOp op, VReg base) {
    Instruction i;
    i.op = op;
    i.mem = at(base);
    i.count = count;
    i.stride = stride;
    i.temp_count = 2;
    i.temps = {b.general(), b.vector()};
    return i;
  }
};

TEST(MemoryOps, MaskedLoad) {
  for (const Isa isa : runnable_isas()) {
    MemoryKernel kernel(isa);
    kernel.store(kernel.append_load(kernel.access(VOp::load, kernel.from, true)), kernel.to);
    kernel.finish();
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    for (std::size_t count = 0; count <= lanes; ++count) {
      const GuardedBuffer in(4 * count);
      std::iota(in.as<float>().begin(), in.as<float>().end(), 1.0F);
      std::vector<float> out(lanes, -1);
      kernel.run({in.data(), out.data()}, {static_cast<std::int64_t>(count), 0});
      for (std::size_t n = 0; n < lanes; ++n)
        EXPECT_EQ(out[n], n < count ? static_cast<float>(n + 1) : 0.0F);
    }
  }
}

TEST(MemoryOps, MaskedStore) {
  for (const Isa isa : runnable_isas()) {
    MemoryKernel kernel(isa);
    kernel.append_store(kernel.access(VOp::store, kernel.to, true), kernel.load(kernel.from));
    kernel.finish();
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    std::vector<float> in(lanes);
    std::iota(in.begin(), in.end(), 1.0F);
    for (std::size_t count = 0; count <= lanes; ++count)
      for (const Guard guard : {Guard::start, Guard::end}) {
        const GuardedBuffer out(4 * count, guard);
        kernel.run({in.data(), out.data()}, {static_cast<std::int64_t>(count), 0});
        for (std::size_t n = 0; n < count; ++n) EXPECT_EQ(out.as<float>()[n], in[n]);
        EXPECT_TRUE(out.intact());
      }
  }
}

TEST(MemoryOps, LoadBool) {
  for (const Isa isa : runnable_isas())
    for (const bool masked : {false, true}) {
      MemoryKernel kernel(isa);
      kernel.store(kernel.append_load(kernel.access(VOp::load_bool, kernel.from, masked)),
                   kernel.to);
      kernel.finish();
      const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
      for (std::size_t count = masked ? 0 : lanes; count <= lanes; ++count)
        for (int pattern = 0; pattern < 4; ++pattern) {
          static constexpr std::uint8_t kValues[] = {0, 1, 0x80, 0xff, 0, 2};
          const GuardedBuffer in(count);
          for (std::size_t n = 0; n < count; ++n)
            in.as<std::uint8_t>()[n] = kValues[(n * 5 + static_cast<std::size_t>(pattern)) % 6];
          std::vector<float> out(lanes, -1);
          kernel.run({in.data(), out.data()}, {static_cast<std::int64_t>(count), 0});
          for (std::size_t n = 0; n < lanes; ++n)
            EXPECT_EQ(out[n], n < count && in.as<std::uint8_t>()[n] != 0 ? 1.0F : 0.0F);
        }
    }
}

TEST(MemoryOps, LoadBoolSplat) {
  for (const Isa isa : runnable_isas()) {
    MemoryKernel kernel(isa);
    kernel.store(kernel.append_load(kernel.access(VOp::load_bool_splat, kernel.from, false)),
                 kernel.to);
    kernel.finish();
    for (const int value : {0, 1, 2, 0x7f, 0x80, 0xff}) {
      const GuardedBuffer in(1);
      in.as<std::uint8_t>()[0] = static_cast<std::uint8_t>(value);
      std::vector<float> out(static_cast<std::size_t>(kernel.target.lanes()), -1);
      kernel.run({in.data(), out.data()}, {0, 0});
      for (const float x : out) EXPECT_EQ(x, value != 0 ? 1.0F : 0.0F);
    }
  }
}

TEST(MemoryOps, StoreBool) {
  for (const Isa isa : runnable_isas())
    for (const bool masked : {false, true})
      for (const bool with_temp : {false, true}) {
        MemoryKernel kernel(isa);
        const VReg value = kernel.load(kernel.from), bystander = kernel.b.constant_vector(3.0F);
        Instruction i = kernel.access(VOp::store_bool, kernel.to, masked);
        if (with_temp) i.temps[i.temp_count++] = kernel.b.vector();
        kernel.append_store(i, value);
        kernel.store(kernel.b.op(VOp::add, {reg(value), reg(bystander)}), kernel.pointer(2));
        kernel.finish(with_temp ? Registers::tight : Registers::descending);
        const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
        static constexpr float kValues[] = {0.0F, 1.0F, -0.0F, NAN, 0x1p-149F, -5.0F, 0.0F};
        for (std::size_t count = masked ? 0 : lanes; count <= lanes; ++count)
          for (std::size_t pattern = 0; pattern < 7; ++pattern)
            for (const Guard guard : {Guard::start, Guard::end}) {
              std::vector<float> in(lanes), after(lanes);
              for (std::size_t n = 0; n < lanes; ++n) in[n] = kValues[(n * 3 + pattern) % 7];
              const GuardedBuffer out(count, guard);
              kernel.run({in.data(), out.data(), after.data()},
                         {static_cast<std::int64_t>(count), 0});
              for (std::size_t n = 0; n < count; ++n)
                EXPECT_EQ(out.as<std::uint8_t>()[n], in[n] != 0 ? 1 : 0) << in[n];
              EXPECT_TRUE(out.intact());
              for (std::size_t n = 0; n < lanes; ++n)  // neither operand nor bystander was harmed
                EXPECT_TRUE(std::isnan(in[n]) || after[n] == in[n] + 3.0F);
            }
      }
}

constexpr std::int64_t kStrides[] = {4, 12, -4, -20, 4096 + 4, 0, 1, -1};

/// The bytes that `count` lanes cover, and where the first lane lies in them.
struct Extent {
  std::size_t bytes, first;
};
Extent extent(std::int64_t stride, std::size_t count, std::size_t element) {
  if (count == 0) return {0, 0};
  const std::size_t reach = static_cast<std::size_t>(std::abs(stride)) * (count - 1);
  return {reach + element, stride < 0 ? reach : 0};
}
constexpr Registers kOrders[] = {Registers::ascending, Registers::descending};

TEST(MemoryOps, LoadStrided) {
  for (const Isa isa : runnable_isas())
    for (const bool is_bool : {false, true})
      for (const Registers registers : kOrders) {
        MemoryKernel kernel(isa);
        const VOp op = is_bool ? VOp::load_bool_strided : VOp::load_strided;
        kernel.store(kernel.append_load(kernel.strided(op, kernel.from)), kernel.to);
        kernel.finish(registers);
        const std::size_t element = is_bool ? 1 : 4;
        const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
        for (const std::int64_t stride : kStrides)
          for (std::size_t count = 0; count <= lanes; ++count)
            for (const Guard guard : {Guard::start, Guard::end}) {
              const auto [bytes, first] = extent(stride, count, element);
              const GuardedBuffer in(bytes, guard);
              for (std::size_t n = 0; n < bytes; ++n)
                in.as<std::uint8_t>()[n] = static_cast<std::uint8_t>(n % 5 * 51 % 200);
              std::vector<float> out(lanes, -1);
              kernel.run({in.data() + first, out.data()},
                         {static_cast<std::int64_t>(count), stride});
              for (std::size_t n = 0; n < lanes; ++n) {
                float expected = 0;
                if (n < count) {
                  const std::byte* at = in.data() + static_cast<std::int64_t>(first) +
                                        stride * static_cast<std::int64_t>(n);
                  if (is_bool)
                    expected = *at != std::byte{0} ? 1.0F : 0.0F;
                  else
                    std::memcpy(&expected, at, 4);
                }
                EXPECT_EQ(out[n], expected) << stride << ", " << count;
              }
            }
      }
}

TEST(MemoryOps, StoreStrided) {
  for (const Isa isa : runnable_isas())
    for (const bool is_bool : {false, true})
      for (const Registers registers : kOrders) {
        MemoryKernel kernel(isa);
        const VReg value = kernel.load(kernel.from);
        const VOp op = is_bool ? VOp::store_bool_strided : VOp::store_strided;
        kernel.append_store(kernel.strided(op, kernel.to), value);
        kernel.store(value, kernel.pointer(2));
        kernel.finish(registers);
        const std::size_t element = is_bool ? 1 : 4;
        const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
        std::vector<float> in(lanes);
        for (std::size_t n = 0; n < lanes; ++n) in[n] = static_cast<float>(n % 3);
        for (const std::int64_t stride : kStrides)
          for (std::size_t count = 0; count <= lanes; ++count)
            for (const Guard guard : {Guard::start, Guard::end}) {
              const auto [bytes, first] = extent(stride, count, element);
              const GuardedBuffer out(bytes, guard);
              std::vector<std::byte> expected(out.data(), out.data() + bytes);
              for (std::size_t n = 0; n < count; ++n) {
                std::byte* at = expected.data() + static_cast<std::int64_t>(first) +
                                stride * static_cast<std::int64_t>(n);
                if (is_bool)
                  *at = std::byte{in[n] != 0};
                else
                  std::memcpy(at, &in[n], 4);
              }
              std::vector<float> after(lanes);
              kernel.run({in.data(), out.data() + first, after.data()},
                         {static_cast<std::int64_t>(count), stride});
              EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.data()))
                  << stride << ", " << count;
              EXPECT_TRUE(out.intact());
              EXPECT_EQ(after, in);
            }
      }
}

/// Without a count: all lanes, and nothing beside them.
TEST(MemoryOps, AllLanesStrided) {
  for (const Isa isa : runnable_isas())
    for (const Registers registers : kOrders) {
      MemoryKernel kernel(isa);
      Instruction load = kernel.strided(VOp::load_strided, kernel.from);
      Instruction store = kernel.strided(VOp::store_strided, kernel.to);
      load.count = store.count = kNoReg;
      kernel.append_store(store, kernel.append_load(load));
      kernel.finish(registers);
      const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
      for (const std::int64_t stride : {4, 12, -4, -20, 4096 + 4})
        for (const Guard guard : {Guard::start, Guard::end}) {
          const auto [bytes, first] = extent(stride, lanes, 4);
          const GuardedBuffer in(bytes, guard), out(bytes, guard);
          for (std::size_t n = 0; n < bytes; ++n) in.as<std::uint8_t>()[n] = static_cast<std::uint8_t>(n % 61);
          std::vector<std::byte> expected(out.data(), out.data() + bytes);
          for (std::size_t n = 0; n < lanes; ++n) {
            const std::int64_t at = static_cast<std::int64_t>(first) + stride * static_cast<std::int64_t>(n);
            std::memcpy(expected.data() + at, in.data() + at, 4);
          }
          kernel.run({in.data() + first, out.data() + first}, {static_cast<std::int64_t>(lanes), stride});
          EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.data())) << stride;
          EXPECT_TRUE(out.intact());
        }
    }
}

/// Loads and stores of two to four elements for each fourth lane.
struct QuadsKernel : MemoryKernel {
  QuadsKernel(Isa isa, int elements, bool is_bool, bool counted) : MemoryKernel(isa), elements(elements), is_bool(is_bool), counted(counted) {}

  Instruction quads(VOp op, VReg base) {
    Instruction i = strided(op, base);
    i.imm = elements;
    if (!counted) i.count = kNoReg;
    if (elements < 4 && !is_bool && target.mask_registers > 0) i.mask = mask_first(b.imm64(elements));
    return i;
  }
  VReg load() { return append_load(quads(is_bool ? VOp::load_bool_quads : VOp::load_quads, from)); }
  void store(VReg value) { append_store(quads(is_bool ? VOp::store_bool_quads : VOp::store_quads, to), value); }
  std::size_t lanes() const { return static_cast<std::size_t>(target.lanes()); }
  std::size_t bytes_of_quad() const { return static_cast<std::size_t>(elements) * (is_bool ? 1 : 4); }

  int elements;
  bool is_bool, counted;
};

template <typename F>
void for_each_quads_kernel(F&& f) {
  for (const Isa isa : runnable_isas())
    for (const int elements : {2, 3, 4})
      for (const bool is_bool : {false, true})
        for (const bool counted : {false, true}) {
          SCOPED_TRACE(testing::Message() << to_string(isa) << ", " << elements << (is_bool ? " bytes" : " floats") << (counted ? ", counted" : ""));
          f(isa, elements, is_bool, counted);
        }
}

/// Calls f(stride, count, extent) for all counts of lanes, or for the one that is all of them.
template <typename F>
void for_each_call(const QuadsKernel& kernel, F&& f) {
  for (const std::int64_t stride : {16, 20, -16, -28, 4096 + 4})
    for (std::size_t count = kernel.counted ? 0 : kernel.lanes(); count <= kernel.lanes(); ++count)
      f(stride, count, extent(stride, (count + 3) / 4, kernel.bytes_of_quad()));
}

TEST(MemoryOps, LoadQuads) {
  for_each_quads_kernel([](Isa isa, int elements, bool is_bool, bool counted) {
    QuadsKernel kernel(isa, elements, is_bool, counted);
    kernel.Kernel::store(kernel.load(), kernel.to);
    kernel.finish();
    for_each_call(kernel, [&](std::int64_t stride, std::size_t count, const Extent& e) {
      for (const Guard guard : {Guard::start, Guard::end}) {
        const GuardedBuffer in(e.bytes, guard);
        for (std::size_t n = 0; n < e.bytes; ++n) in.as<std::uint8_t>()[n] = static_cast<std::uint8_t>(n % 5 * 51 % 200);
        std::vector<float> out(kernel.lanes(), -1);
        kernel.run({in.data() + e.first, out.data()}, {static_cast<std::int64_t>(count), stride});
        for (std::size_t lane = 0; lane < kernel.lanes(); ++lane) {
          float expected = 0;
          if (lane / 4 * 4 < count && lane % 4 < static_cast<std::size_t>(elements)) {
            const std::byte* quad = in.data() + static_cast<std::int64_t>(e.first) + stride * static_cast<std::int64_t>(lane / 4);
            if (is_bool)
              expected = quad[lane % 4] != std::byte{0} ? 1.0F : 0.0F;
            else
              std::memcpy(&expected, quad + 4 * (lane % 4), 4);
          }
          EXPECT_EQ(out[lane], expected) << stride << ", " << count << ", lane " << lane;
        }
      }
    });
  });
}

TEST(MemoryOps, StoreQuads) {
  for_each_quads_kernel([](Isa isa, int elements, bool is_bool, bool counted) {
    QuadsKernel kernel(isa, elements, is_bool, counted);
    const VReg value = kernel.MemoryKernel::load(kernel.from);
    kernel.store(value);
    kernel.Kernel::store(value, kernel.pointer(2));
    kernel.finish();
    std::vector<float> in(kernel.lanes()), after(kernel.lanes());
    for (std::size_t n = 0; n < in.size(); ++n) in[n] = static_cast<float>(n % 3);
    for_each_call(kernel, [&](std::int64_t stride, std::size_t count, const Extent& e) {
      for (const Guard guard : {Guard::start, Guard::end}) {
        const GuardedBuffer out(e.bytes, guard);
        std::vector<std::byte> expected(out.data(), out.data() + e.bytes);
        for (std::size_t lane = 0; lane < kernel.lanes(); ++lane) {
          if (lane / 4 * 4 >= count || lane % 4 >= static_cast<std::size_t>(elements)) continue;
          std::byte* quad = expected.data() + static_cast<std::int64_t>(e.first) + stride * static_cast<std::int64_t>(lane / 4);
          if (is_bool)
            quad[lane % 4] = std::byte{in[lane] != 0};
          else
            std::memcpy(quad + 4 * (lane % 4), &in[lane], 4);
        }
        kernel.run({in.data(), out.data() + e.first, after.data()}, {static_cast<std::int64_t>(count), stride});
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.data())) << stride << ", " << count;
        EXPECT_TRUE(out.intact());
        EXPECT_EQ(after, in);
      }
    });
  });
}

/// With everything shared that may be shared.
TEST(MemoryOps, TightRegisters) {
  for (const Isa isa : runnable_isas()) {
    MemoryKernel kernel(isa);
    const VReg v = kernel.append_load(kernel.strided(VOp::load_strided, kernel.from));
    kernel.append_store(kernel.strided(VOp::store_strided, kernel.to), v);
    kernel.finish(Registers::tight);
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    std::vector<float> in(2 * lanes), out(2 * lanes);
    std::iota(in.begin(), in.end(), 0.0F);
    kernel.run({in.data(), out.data()}, {static_cast<std::int64_t>(lanes), 8});
    for (std::size_t n = 0; n < 2 * lanes; ++n) EXPECT_EQ(out[n], n % 2 == 0 ? in[n] : 0.0F);
  }
}

}  // namespace
}  // namespace burin::codegen::test
