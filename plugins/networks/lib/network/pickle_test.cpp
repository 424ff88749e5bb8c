#include <network/pickle.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include <graft/error.h>
#include <graft/random.h>

#include <network/state_dict.h>

namespace graft::nn {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

std::string error_of(const std::string& pickle) {
  try {
    state_dict_of(Pickle(pickle));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const std::string kStart = "\x80\x02"s;

/// A text on the stack.
std::string text(const std::string& value) {
  return "\x8c"s + static_cast<char>(value.size()) + value;
}

std::string number(std::int32_t value) {
  std::string out = "J0000"s;
  for (int i = 0; i < 4; ++i) out[static_cast<std::size_t>(i) + 1] = static_cast<char>(value >> (8 * i));
  return out;
}

std::string storage(const std::string& type, const std::string& key, std::int32_t elements) {
  return "(" + text("storage") + "ctorch\n" + type + "\n" + text(key) + text("cpu") + number(elements) + "tQ";
}

std::string tensor(const std::string& storage, const std::string& offset, const std::string& shape,
                   const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + "(" + shape + "t(" + strides +
         "t\x89)tR";
}

std::string dict(const std::string& items) {
  return kStart + "}(" + items + "u.";
}

TEST(Pickle, ReadsAStateDict) {
  const std::string bytes = dict(text("w") + tensor(storage("HalfStorage", "5", 12), number(2),
                                                    number(2) + number(5), number(5) + number(1)));
  const Pickle pickle(bytes);
  EXPECT_EQ(pickle.size(), bytes.size());
  const auto tensors = state_dict_of(pickle).tensors;
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_STREQ(tensors[0].type->name, "F16");
  EXPECT_EQ(tensors[0].storage, "5");
  EXPECT_EQ(tensors[0].storage_size, 12);
  EXPECT_EQ(tensors[0].offset, 2);
  EXPECT_EQ(tensors[0].shape, (Shape{2, 5}));
  EXPECT_EQ(tensors[0].strides, (Shape{5, 1}));
}

TEST(Pickle, WhatItNamesIsRefusedByName) {
  const std::string tail =
      ": expected a state_dict, which holds tensors only; nothing was executed; save model.state_dict() in "
      "place of the "
      "model or the checkpoint around it, and do not open the file elsewhere if you do not trust its origin";
  EXPECT_EQ(error_of(kStart + "cposix\nsystem\n(" + text("touch owned") + "tR."),
            "its pickle names posix.system" + tail);
  EXPECT_EQ(error_of("\x80\x04"s + text("builtins") + text("eval") + "\x93" + text("1") + "\x85R."),
            "its pickle names builtins.eval" + tail);
  // A known class is no licence for its neighbours, nor is a name with something hidden in it.
  EXPECT_THAT(error_of(kStart + "ctorch._utils\n_rebuild_tensor_v3\n."),
              HasSubstr("names torch._utils._rebuild_tensor_v3:"));
  EXPECT_THAT(error_of(kStart + "ctorch\nload\n."), HasSubstr("names torch.load:"));
  EXPECT_THAT(error_of(kStart + "ca\x1b[31m\nb\n."), HasSubstr("names a\\x1b[31m.b:"));
}

TEST(Pickle, OpcodesThatMakeObjectsAreRefused) {
  const std::string tail =
      ", which no weights need; nothing was executed; save the model's state_dict() again";
  EXPECT_EQ(error_of(kStart + "\x82\x01."), "its pickle has the opcode 0x82 (EXT1) at byte 2" + tail);
  EXPECT_EQ(error_of(kStart + "(iposix\nsystem\n."),
            "its pickle has the opcode 0x69 (INST) at byte 3" + tail);
  EXPECT_EQ(error_of(kStart + "ccollections\nOrderedDict\n)\x81."),
            "its pickle has the opcode 0x81 (NEWOBJ) at byte 28" + tail);
  EXPECT_EQ(error_of(kStart + "Pposix\n."), "its pickle has the opcode 0x50 (PERSID) at byte 2" + tail);
  EXPECT_EQ(error_of(kStart + "\xff."), "its pickle has the opcode 0xff (unknown) at byte 2" + tail);
}

TEST(Pickle, CallsAreNotCalls) {
  // BUILD sets the state of an object: of an OrderedDict it is skipped, of anything else refused.
  EXPECT_EQ(error_of(kStart + "ccollections\nOrderedDict\n)R}(" + text("__setstate__") + "Nub."), "no error");
  EXPECT_THAT(error_of(kStart + "ccollections\nOrderedDict\n}b."),
              HasSubstr("has a function where a dict must be"));
  EXPECT_THAT(error_of(kStart + "](K\x01"
                                "eNb."),
              HasSubstr("has a list where a dict must be"));
  EXPECT_THAT(error_of(kStart + "K\x01)R."), HasSubstr("has a whole number where a function must be"));
  EXPECT_THAT(error_of(kStart + "ctorch\nFloatStorage\n)R."),
              HasSubstr("has a storage type where a function must be"));
  EXPECT_THAT(error_of(kStart + "ccollections\nOrderedDict\n(K\x01tR."),
              HasSubstr("makes an OrderedDict of something"));
  EXPECT_THAT(error_of(kStart + "ctorch._utils\n_rebuild_parameter\n(Nt" + "R."),
              HasSubstr("is not a tensor"));
  EXPECT_THAT(error_of(kStart + "ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR."),
              HasSubstr("something else than a storage, an offset, a shape and strides"));
  EXPECT_THAT(error_of(kStart + "(" + text("module") + "NNNNtQ."), HasSubstr("not the storage of a tensor"));
}

TEST(Pickle, AbsurdSizesTakeNoMemory) {
  EXPECT_EQ(error_of(kStart + "\x8b\xff\xff\xff\x7f" + "1."),
            "its pickle has a number of 2147483647 bytes at byte 7, expected at most 8");
  EXPECT_THAT(error_of(kStart + "X\xff\xff\xff\xff" + "abc."), HasSubstr("ends early"));
  EXPECT_THAT(error_of(kStart + "\x8d\xff\xff\xff\xff\xff\xff\xff\xff" + "abc."), HasSubstr("ends early"));
  EXPECT_THAT(error_of(kStart + "\x95\xff\xff\xff\xff\xff\xff\xff\xff" + "}."), "no error");  // only a hint
  EXPECT_THAT(error_of(kStart + std::string(1000, 'c')), HasSubstr("a name without end"));
  EXPECT_EQ(error_of(kStart + std::string(Pickle::kMaxBytes, 'N') + "."),
            "its pickle holds more than 400000 values");
  EXPECT_EQ(error_of(kStart + "N" + std::string(Pickle::kMaxBytes, '(') + "."), "its pickle nests too deep");
  std::string memo = kStart + "N";
  for (int i = 0; i < 500'000; ++i) memo += "\x94";
  EXPECT_EQ(error_of(memo + "."), "its pickle remembers more than 400000 values");
  // A memo number is only a name: the largest costs no more than the smallest.
  EXPECT_THAT(error_of(kStart + "}r\xff\xff\xff\xff" + "."), "no error");
}

TEST(Pickle, NestingAndCyclesAreHarmless) {
  std::string deep = kStart;
  for (int i = 0; i < 300'000; ++i) deep += ']';
  for (int i = 1; i < 300'000; ++i) deep += 'a';
  EXPECT_THAT(error_of(deep + "."), HasSubstr("holds a list, expected a state_dict"));
  // A dict that is its own "state_dict", and its own value.
  EXPECT_THAT(error_of(kStart + "}q\x01" + text("state_dict") + "h\x01s."),
              HasSubstr("'state_dict' is a dict, expected"));
  EXPECT_THAT(error_of(kStart + "}q\x01" + text("w") + "h\x01s."),
              HasSubstr("'w' is a dict, expected a tensor"));
  // The same value thousands of times: numbers, not copies.
  std::string wide = kStart + "]q\x01(";
  for (int i = 0; i < 300'000; ++i) wide += "h\x01";
  EXPECT_THAT(error_of(wide + "e."), HasSubstr("holds a list"));
}

TEST(Pickle, LongArgumentsAreNotReadOverAndOver) {
  std::string many = kStart + "ctorch._utils\n_rebuild_tensor_v2\nq\x01" + "0(";
  for (int i = 0; i < 100'000; ++i) many += "N";
  many +=
      "tq\x02"
      "0";
  for (int i = 0; i < 100'000; ++i) many += "h\x01h\x02R0";
  EXPECT_THAT(error_of(many + "N."), HasSubstr("more than 8 arguments"));
}

TEST(Pickle, AMachineThatRunsDryIsAnError) {
  for (const char* program : {"", ".", "R.", "Q.", "b.", "s.", "u.", "t.", "\x85.", "a.", "q\x01.", "h\x01.",
                              "0.", "2.", "NN.", "(N.", "(N(s.", "\x93."})
    EXPECT_THAT(error_of(kStart + program), HasSubstr("its pickle")) << program;
  EXPECT_THAT(error_of("\x80\x01N."), HasSubstr("protocol 1, expected 2 to 5"));
  EXPECT_THAT(error_of(kStart + "}(Nu."), HasSubstr("a key without a value"));
}

TEST(StateDict, ViewsStayWithinTheirStorage) {
  const auto view = [](std::int32_t elements, const std::string& offset, const std::string& shape,
                       const std::string& strides) {
    return error_of(dict(text("w") + tensor(storage("FloatStorage", "0", elements), offset, shape, strides)));
  };
  EXPECT_EQ(view(6, number(0), number(2) + number(3), number(3) + number(1)), "no error");
  EXPECT_EQ(view(6, number(1), number(2) + number(3), number(3) + number(1)),
            "tensor 'w' of shape [2,3] and strides [3,1] lies outside its storage of 6 elements: the file is "
            "damaged or "
            "hostile");
  const std::string huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s;
  EXPECT_THAT(view(6, huge, number(1), number(1)), HasSubstr("outside its storage"));
  EXPECT_THAT(view(6, number(0), huge + huge, huge + huge), HasSubstr("outside its storage"));
  EXPECT_THAT(view(6, number(0), huge + huge, number(0) + number(0)), HasSubstr("outside its storage"));
  EXPECT_THAT(view(6, number(0), number(-1), number(1)), HasSubstr("outside its storage"));
  EXPECT_THAT(view(6, number(3), number(2), number(-1)), HasSubstr("outside its storage"));
  EXPECT_THAT(view(6, number(0), number(2), number(1) + number(1)), HasSubstr("outside its storage"));
  EXPECT_EQ(view(0, number(0), number(0) + number(5), number(5) + number(1)), "no error");
  EXPECT_THAT(view(-1, number(0), number(0), number(1)), HasSubstr("not the storage of a tensor"));
}

TEST(StateDict, WhatIsNoTensorIsNamed) {
  EXPECT_EQ(error_of(dict(text("epoch") + "K\x07")),
            "'epoch' is a whole number, expected a tensor; save model.state_dict() itself");
  EXPECT_THAT(error_of(dict("K\x07K\x07")), HasSubstr("has a whole number for a name"));
  EXPECT_THAT(error_of(kStart + "K\x07."), HasSubstr("holds a whole number, expected a state_dict"));
}

/// Random programs of the opcodes that the machine knows: any outcome but a crash.
TEST(Pickle, RandomProgramsEndInAnErrorOrATable) {
  Random random(7);
  const std::vector<std::string> words = {
      "N",
      "\x88",
      "\x89",
      ")",
      "]",
      "}",
      "(",
      "0",
      "1",
      "2",
      "t",
      "l",
      "d",
      "\x85",
      "\x86",
      "\x87",
      "a",
      "e",
      "s",
      "u",
      "\x94",
      "h\x01"s,
      "q\x01"s,
      "Q",
      "R",
      "b",
      "\x93",
      "K\x02",
      text("storage"),
      text("0"),
      text("w"),
      "ctorch\nFloatStorage\n",
      "ccollections\nOrderedDict\n",
      "ctorch._utils\n_rebuild_tensor_v2\n",
      storage("FloatStorage", "0", 6),
      tensor(storage("FloatStorage", "0", 6), number(0), number(6), number(1))};
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string program = kStart;
    const std::uint64_t length = random.below(30);
    for (std::uint64_t i = 0; i < length; ++i) program += words[random.below(words.size())];
    error_of(program + ".");
  }
}

}  // namespace
}  // namespace graft::nn
