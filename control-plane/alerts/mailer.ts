import { createTransport } from 'nodemailer';
import type { SendMail } from './notices.ts';

/** E-mail through the server of an `smtp://` or `smtps://` address. */
export function createMailer(smtpUrl: string, from: string, url: () => string) {
  const transport = createTransport(smtpUrl);
  const send: SendMail = async (to, { subject, text }) => {
    await transport.sendMail({
      from,
      to,
      subject,
      text: `${text}\n\n-- \n${url()}\nWhat you are told is chosen in the portal, or with PUT /api/dev/notices/preferences.\n`,
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
  };
  return { send, close: () => transport.close() };
}
