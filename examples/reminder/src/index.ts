import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Params {
  text: string;
  /** `20 seconds`, `3 weeks`, or milliseconds. */
  after?: WorkflowSleepDuration;
  /** Where notes are posted; nowhere when absent. */
  notifyUrl?: string;
}

/** Sleeps for as long as it takes. Nothing is in memory meanwhile, and a restart of the machine does not matter. */
export class Reminder extends WorkflowEntrypoint<unknown, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    const { text, after, notifyUrl } = event.payload;
    const notify = async (note: string) => {
      if (notifyUrl) {
        const response = await fetch(notifyUrl, { method: "POST", body: note });
        if (!response.ok) {
          throw new Error(`${notifyUrl} answered ${response.status}`);
        }
      }
      return note;
    };

    const promised = await step.do("promise", () => notify(`I shall remind you: ${text}`));
    await step.sleep("until then", after ?? "1 day");
    const reminded = await step.do("remind", () => notify(`Remember: ${text}`));
    return { promised, reminded };
  }
}

export default {
  fetch: () => new Response("Reminders are started as workflow instances.\n"),
};
