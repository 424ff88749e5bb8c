// Its inspect() returns what a test wants.

#include <stdexcept>

#include <graft/plugin.h>

namespace {

using namespace graft;

class Inspected final : public Transform {
 public:
  explicit Inspected(const StageContext&) {}
  Payload apply(const Item& item) const override { return item.payload; }

  static Inspection inspect(const StageContext& context) {
    const auto what = context.params.get<std::string>("what");
    if (what == "error") throw Error("the file is gone");
    if (what == "bad_alloc") throw std::bad_alloc();
    if (what == "number") throw 7;
    if (what == "shapes") return {{}, {"u8[1,1,3]", "u8[2,2,3]"}};
    if (what == "faults")
      return {
          {{"", "of the stage"}, {"sides.1", "of an item"}, {"other", "not given"}, {"nowhere", "no such"}},
          {}};
    context.warn("takes " + context.input_shape);
    return {{}, {"u8[8,9,3]"}};
  }
};

}  // namespace

GRAFT_PLUGIN(inspected, "1.0.0", Inspected,
             graft::PluginSchema::transform("Gives what it gets.")
                 .input(graft::PortType::Image, "Any image.")
                 .output("out", graft::PortType::Image, "u8[?,?,3]", "The same.")
                 .param(graft::text("what", "shape").doc("What inspect does."))
                 .param(graft::integer("other", 1).doc("A number."))
                 .param(graft::list("sides", graft::integer("side")).default_list({1, 2}).doc("Numbers.")))
