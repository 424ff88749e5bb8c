#include "config/diagnostics.h"

#include <gtest/gtest.h>

#include <graft/value.h>

namespace graft {
namespace {

TEST(Diagnostics, OfALongLineThePartAroundTheFaultIsShown) {
  Diagnostics d;
  const int file = d.add_file("a.yaml", std::string(100'000, 'x') + "WRONG" + std::string(100'000, 'y'));
  d.error({file, 1, 100'001}, "wrong");
  EXPECT_EQ(d.render(), "a.yaml:1:100001: error: wrong\n    ..." + std::string(80, 'x') + "WRONG" +
                            std::string(75, 'y') + "...\n    " + std::string(83, ' ') + "^\n");
}

TEST(Diagnostics, WhatIsShownCannotControlATerminal) {
  Diagnostics d;
  const int file = d.add_file("a\x1b.yaml", "k: \"\x1b[2J\" \xe2\x80\xae\n");
  d.error({file, 1, 4}, "no '\x1b[2J'\nerror: none");
  EXPECT_EQ(d.render(),
            "a\\x1b.yaml:1:4: error: no '\\x1b[2J'\n  error: none\n    k: \"\\x1b[2J\" \\u202e\n       ^\n");
  // Programs get what is there.
  EXPECT_EQ(Value::from_json(d.render_json()).find("text")->as_string(), "no '\x1b[2J'\nerror: none");
}

TEST(Diagnostics, TheCaretStandsUnderItsCharacter) {
  Diagnostics d;
  const int file = d.add_file("a.yaml", "\t\xc3\xa4: x\n");
  d.error({file, 1, 6}, "wrong");
  EXPECT_EQ(d.render(), "a.yaml:1:6: error: wrong\n    \t\xc3\xa4: x\n    \t   ^\n");
}

TEST(Diagnostics, BeyondAThousandFaultsAreCounted) {
  Diagnostics d;
  const int file = d.add_file("a.yaml", "x\n");
  for (int i = 0; i < 1234; ++i) d.error({file, 1, 1}, "wrong");
  EXPECT_EQ(d.errors(), 1234u);
  EXPECT_EQ(d.rendered().size(), 1001u);
  EXPECT_EQ(d.rendered().back().text, "234 more faults are not listed\n");
}

}  // namespace
}  // namespace graft
