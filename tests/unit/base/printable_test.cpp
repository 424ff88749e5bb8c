#include <graft/printable.h>

#include <gtest/gtest.h>

#include <graft/value.h>

namespace graft {
namespace {

TEST(Printable, WhatControlsATerminalIsWrittenAsAnEscape) {
  EXPECT_EQ(printable("a\x1b]0;title\x07z"), "a\\x1b]0;title\\x07z");
  EXPECT_EQ(printable("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(printable("one\ntwo\r\tthree\x7f"), "one\\ntwo\\r\\tthree\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");  // CSI in eight bits
  EXPECT_EQ(printable("photo\xe2\x80\xaegpj.exe"), "photo\\u202egpj.exe");
  EXPECT_EQ(printable("\xe2\x81\xa6\xe2\x80\xa8\xd8\x9c\xef\xbb\xbf"), "\\u2066\\u2028\\u061c\\ufeff");
}

TEST(Printable, NamesOfPeopleStayAsTheyAre) {
  for (const char* name : {"", "a b.jpg", "C:\\new", "H\xc3\xa4schen", "\xe8\x9c\x82", "\xf0\x9f\x90\x9d",
                           "\xd7\x93\xd7\x91\xd7\x95\xd7\xa8\xd7\x94"})
    EXPECT_EQ(printable(name), name);
}

TEST(Printable, BytesThatAreNoUtf8AreShownAsSuch) {
  EXPECT_EQ(printable("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");                    // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  EXPECT_EQ(printable("\xe2\x80"), "\\xe2\\x80");                    // cut short
  EXPECT_TRUE(is_utf8("caf\xc3\xa9"));
  EXPECT_FALSE(is_utf8("caf\xe9"));
}

TEST(Printable, ALineFeedInANameBeginsNoMessageOfItsOwn) {
  EXPECT_EQ(printable_lines("a\nb\tc\x1b"), "a\nb\tc\\x1b");
  EXPECT_EQ(printable_lines("x\nerror: all is lost", "  "), "x\n  error: all is lost");
  EXPECT_EQ(printable_lines("x\n  cure\n", "  "), "x\n  cure\n");
}

TEST(Printable, AJsonDocumentStaysTheSame) {
  const Value value = Value::list();
  Value list = value;
  list.push("a\x1b\x7f\xc2\x9b\xe2\x80\xae\n\xc3\xa4");
  const std::string document = list.to_json();
  const std::string shown = printable_json(document);
  EXPECT_EQ(shown, "[\"a\\u001b\\u007f\\u009b\\u202e\\n\xc3\xa4\"]");
  EXPECT_EQ(Value::from_json(shown), list);
}

}  // namespace
}  // namespace graft
