import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Env {
  APPROVAL: Workflow;
}

interface Params {
  request: string;
  /** How long to wait for somebody: `3 days`, or milliseconds. */
  patience?: WorkflowSleepDuration;
}

interface Decision {
  approved: boolean;
  by: string;
}

/** Asks a person, and goes on when they answer or when nobody does. */
export class Approval extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    const { request, patience } = event.payload;
    const question = await step.do("ask", async () => `May we ${request}?`);

    let decision: Decision;
    try {
      const answer = await step.waitForEvent<Decision>("decision", { type: "decision", timeout: patience ?? "3 days" });
      decision = answer.payload;
    } catch {
      // Nobody answered in time.
      return await step.do("give up", async () => ({ question, outcome: "expired" }));
    }
    return await step.do("conclude", async () => ({
      question,
      outcome: decision.approved ? "approved" : "rejected",
      by: decision.by,
    }));
  }
}

/** The links in the mail to the approver: /approve/<id>?by=<name> and /reject/<id>?by=<name> */
export default {
  async fetch(request: Request, env: Env) {
    const url = new URL(request.url);
    const [, verb, id] = url.pathname.split("/");
    if (!id || (verb !== "approve" && verb !== "reject")) {
      return new Response("Use /approve/<id> or /reject/<id>.\n", { status: 404 });
    }
    const by = url.searchParams.get("by") ?? "somebody";
    try {
      const instance = await env.APPROVAL.get(id);
      await instance.sendEvent({ type: "decision", payload: { approved: verb === "approve", by } });
    } catch (error) {
      return new Response(`${error}\n`, { status: 404 });
    }
    return new Response("Thank you.\n");
  },
};
