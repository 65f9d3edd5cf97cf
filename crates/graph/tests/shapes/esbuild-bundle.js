var __defProp = Object.defineProperty;
var __name = (target, value) => __defProp(target, "name", { value, configurable: true });
var __esm = (fn, res) => function __init() {
  return fn && (res = (0, fn[Object.keys(fn)[0]])(fn = 0)), res;
};

// src/lazy.ts
var LAZY_TIMEOUT;
var init_lazy = __esm({
  "src/lazy.ts"() {
    "use strict";
    LAZY_TIMEOUT = "4 minutes";
  }
});

// src/index.ts
import { WorkflowEntrypoint } from "cloudflare:workers";
async function a(step, cents) {
  init_lazy();
  await step.do("charge", { timeout: LAZY_TIMEOUT }, async () => cents);
}
__name(a, "charge");
var Flow = class extends WorkflowEntrypoint {
  static {
    __name(this, "Flow");
  }
  async run(event, step) {
    const b = /* @__PURE__ */ __name(async (to) => {
      await step.do(`mail ${to}`, async () => to);
    }, "mail");
    async function c() {
      await step.do("count", async () => 1);
    }
    __name(c, "count");
    await a(step, 100);
    await b("owner");
    await c();
  }
};
var src_default = { fetch: /* @__PURE__ */ __name(() => new Response("x"), "fetch") };
export {
  Flow,
  src_default as default
};
