import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";

interface Env {
  PAYMENT_URL: string;
}

interface Params {
  order: string;
  cents: number;
  paymentUrl?: string;
}

interface Payment {
  payment: string;
}

/** Reserves, charges, ships. A payment service that is down is tried again; a card that is declined is not. */
export class Order extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    const { order, cents, paymentUrl } = event.payload;

    const reserved = await step.do("reserve", async () => ({ order, shelf: "A7" }));

    const payment = await step.do(
      "charge",
      { retries: { limit: 4, delay: "1 second", backoff: "constant" }, timeout: "10 seconds" },
      async (): Promise<Payment> => {
        const response = await fetch(paymentUrl ?? this.env.PAYMENT_URL, {
          method: "POST",
          // The same key at every attempt: the service charges once, even if its answer got lost.
          headers: { "content-type": "application/json", "idempotency-key": event.instanceId },
          body: JSON.stringify({ order, cents }),
        });
        if (response.status === 402) {
          throw new NonRetryableError("the card was declined");
        }
        if (!response.ok) {
          throw new Error(`the payment service answered ${response.status}`);
        }
        return await response.json();
      },
    );

    const parcel = await step.do("ship", async () => `parcel for ${order} from shelf ${reserved.shelf}`);
    return { order, payment: payment.payment, parcel };
  }
}

export default {
  fetch: () => new Response("Orders are started as workflow instances.\n"),
};
