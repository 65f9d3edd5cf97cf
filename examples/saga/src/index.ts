import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";

interface Env {
  BOOKING_URL: string;
}

interface Params {
  trip: string;
  bookingUrl?: string;
}

interface Booking {
  booking: string;
}

const KINDS = ["flight", "hotel", "car"] as const;

/** Books a flight, a hotel and a car. When one of them is not to be had, what was booked before is cancelled, newest first. */
export class Trip extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    const { trip, bookingUrl } = event.payload;
    const url = bookingUrl ?? this.env.BOOKING_URL;
    const quick = { retries: { limit: 3, delay: "1 second", backoff: "constant" as const }, timeout: "10 seconds" as const };

    const bookings: string[] = [];
    for (const kind of KINDS) {
      // The same key at every attempt: a booking whose answer got lost is not made twice, and can be cancelled without its number.
      const key = `${event.instanceId}-${kind}`;
      const { booking } = await step.do(
        kind,
        quick,
        async (): Promise<Booking> => {
          const response = await fetch(`${url}/${kind}`, {
            method: "POST",
            headers: { "content-type": "application/json", "idempotency-key": key },
            body: JSON.stringify({ trip }),
          });
          if (response.status === 409) {
            throw new NonRetryableError(`there is no ${kind} left`);
          }
          if (!response.ok) {
            throw new Error(`booking a ${kind} was answered with ${response.status}`);
          }
          return await response.json();
        },
        {
          rollback: async ({ output, error }) => {
            const response = await fetch(`${url}/${kind}/cancel`, {
              method: "POST",
              headers: { "content-type": "application/json", "idempotency-key": key },
              body: JSON.stringify({ trip, booking: output?.booking ?? null, reason: error.message }),
            });
            if (!response.ok) {
              throw new Error(`cancelling a ${kind} was answered with ${response.status}`);
            }
          },
          rollbackConfig: quick,
        },
      );
      bookings.push(booking);
    }
    return { trip, bookings };
  }
}

export default {
  async fetch(request: Request, _env: Env, ctx: ExecutionContext) {
    const trip = new URL(request.url).searchParams.get("trip") ?? "somewhere";
    const instance = await ctx.exports.Trip.create({ params: { trip } });
    return Response.json({ id: instance.id });
  },
};
