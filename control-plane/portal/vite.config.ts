import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** Builds the console into `dist`, which the control plane serves. */
export default defineConfig({
  root: new URL('./web', import.meta.url).pathname,
  base: '/console/',
  plugins: [react()],
  build: { outDir: '../dist', emptyOutDir: true, chunkSizeWarningLimit: 2000 },
});
