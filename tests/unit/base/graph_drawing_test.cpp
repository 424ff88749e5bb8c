#include <graft/graph_drawing.h>

#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Box {
  double x, y, width, height;
};

std::vector<Box> boxes_of(const std::string& svg) {
  static const std::regex kBox(
      "<rect class=\"node\" x=\"([^\"]+)\" y=\"([^\"]+)\" width=\"([^\"]+)\" height=\"([^\"]+)\"");
  std::vector<Box> out;
  for (std::sregex_iterator at(svg.begin(), svg.end(), kBox), end; at != end; ++at)
    out.push_back({std::stod((*at)[1]), std::stod((*at)[2]), std::stod((*at)[3]), std::stod((*at)[4])});
  return out;
}

GraphDrawing::Node node(const std::string& name, const std::vector<std::size_t>& inputs) {
  GraphDrawing::Node out{{name, "plugin"}, {}};
  for (const std::size_t i : inputs) out.inputs.push_back({i});
  return out;
}

TEST(GraphDrawing, PutsNodesRightOfWhatTheyTakeFromAndNoneOverAnother) {
  GraphDrawing graph{"stages",
                     {node("images", {}), node("pixels", {0}), node("features", {1}), node("table", {2}),
                      node("probe", {3}), node("knn", {3}), node("mlp", {3}), node("hot", {5}),
                      node("report", {4, 5, 6, 7}), node("page", {4, 7})}};
  const std::string svg = svg_of(graph);
  EXPECT_EQ(svg, svg_of(graph)) << "the same each time";
  const std::vector<Box> boxes = boxes_of(svg);
  ASSERT_EQ(boxes.size(), graph.nodes.size());
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    for (const GraphDrawing::Input& in : graph.nodes[i].inputs)
      EXPECT_GE(boxes[i].x, boxes[in.node].x + boxes[in.node].width);
    for (std::size_t j = 0; j < i; ++j)
      if (boxes[i].x == boxes[j].x) {
        EXPECT_GE(std::abs(boxes[i].y - boxes[j].y), boxes[i].height) << i << " and " << j;
      }
  }
}

TEST(GraphDrawing, UncrossesWhatNeedNotCross) {
  // In the order of the list, the edges 0-3 and 1-2 would cross.
  const std::vector<Box> boxes =
      boxes_of(svg_of({"", {node("a", {}), node("b", {}), node("from b", {1}), node("from a", {0})}}));
  ASSERT_EQ(boxes.size(), 4U);
  EXPECT_EQ(boxes[0].y < boxes[1].y, boxes[3].y < boxes[2].y);
}

TEST(GraphDrawing, TextIsText) {
  GraphDrawing graph{"<b>\"", {node("<script>", {}), node(std::string(200, 'x'), {0})}};
  graph.nodes[1].inputs[0].label = "a&b";
  const std::string svg = svg_of(graph, true);
  EXPECT_THAT(svg, AllOf(HasSubstr("aria-label=\"&lt;b&gt;&quot;\""), HasSubstr(">&lt;script&gt;</text>"),
                         HasSubstr(">a&amp;b</text>"), Not(HasSubstr("<script>")), HasSubstr("<style>"),
                         HasSubstr(std::string(29, 'x') + "\xE2\x80\xA6</text>")));
  EXPECT_THAT(svg_of(graph), Not(HasSubstr("<style>")));
  EXPECT_THAT(svg_of(GraphDrawing{}), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace graft
