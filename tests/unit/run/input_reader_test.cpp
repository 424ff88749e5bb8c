#include "run/input_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

namespace graft {
namespace {

/// Entries 0, 1, 2, ..., each with its number as its content; the ones with an odd number cannot be read.
class Tape final : public ForwardSource {
 public:
  std::vector<std::string> classes() const override { return {}; }
  bool next(Entry& entry) override {
    entry.key = std::to_string(++position_);
    return true;
  }
  Payload read_current() override {
    ++reads;
    if (position_ % 2 == 1) throw Reject("torn", "number " + std::to_string(position_));
    Tensor number = Tensor::allocate(DType::I64, {1});
    *number.as<std::int64_t>() = position_;
    return number;
  }
  int reads = 0;

 private:
  std::int64_t position_ = -1;
};

class Files final : public Source {
 public:
  std::vector<std::string> classes() const override { return {}; }
  bool next(Entry& entry) override {
    entry.key = "a.jpg";
    entry.payload = FileRef{"/data/a.jpg", 5, 0, {}};
    return true;
  }
};

std::int64_t number_in(const Payload& payload) {
  return *std::get<Tensor>(payload).as<std::int64_t>();
}

TEST(InputReader, AForwardSourceIsReadWhenItsEntryComesBy) {
  Tape tape;
  InputReader reader(tape);
  EXPECT_STREQ(reader.function(), "read_current");
  InFlightEntry entries[3];
  for (InFlightEntry& entry : entries) {
    ASSERT_TRUE(tape.next(entry));
    reader.pass(entry);  // throws nothing: what cannot be read shows in read()
  }
  EXPECT_EQ(number_in(reader.read(entries[2])), 2);
  EXPECT_EQ(number_in(reader.read(entries[0])), 0);
  EXPECT_THAT([&] { reader.read(entries[1]); },
              ::testing::ThrowsMessage<Reject>(::testing::StrEq("number 1")));
  EXPECT_EQ(tape.reads, 3);
  EXPECT_FALSE(entries[2].read_ahead) << "the entry does not keep what was read";
}

TEST(InputReader, WhatWasPeekedAtIsNotReadTwice) {
  Tape tape;
  InputReader reader(tape);
  InFlightEntry entry, torn;
  ASSERT_TRUE(tape.next(entry));
  EXPECT_EQ(number_in(reader.peek(entry)), 0);
  reader.pass(entry);
  EXPECT_EQ(number_in(reader.read(entry)), 0);
  EXPECT_EQ(tape.reads, 1);
  ASSERT_TRUE(tape.next(torn));
  EXPECT_THROW(reader.peek(torn), Reject);
}

TEST(InputReader, OtherSourcesAreReadWhenThePayloadIsNeeded) {
  Files files;
  InputReader reader(files);
  EXPECT_STREQ(reader.function(), "load");
  InFlightEntry entry;
  ASSERT_TRUE(files.next(entry));
  reader.pass(entry);
  EXPECT_FALSE(entry.read_ahead);
  EXPECT_EQ(std::get<FileRef>(reader.read(entry)).path, "/data/a.jpg");
}

}  // namespace
}  // namespace graft
