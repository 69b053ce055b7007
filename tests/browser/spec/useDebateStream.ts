// src/hooks/useDebateStream.ts
import { useEffect, useState } from 'react';

interface Utterance {
  id: string;
  timestamp: number;
  phase: string;
  speaker: string;
  content: string;
}

export function useDebateStream(debateId: string) {
  const [utterances, setUtterances] = useState<Utterance[]>([]);
  const [currentPhase, setCurrentPhase] = useState<string>('');
  const [isConnected, setIsConnected] = useState(false);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    const eventSource = new EventSource(`/api/debates/${debateId}/stream`);

    eventSource.addEventListener('connected', (e) => {
      const data = JSON.parse(e.data);
      console.log('Connected to SSE stream:', data);
      setIsConnected(true);
    });

    eventSource.addEventListener('utterance', (e) => {
      const utterance = JSON.parse(e.data);
      setUtterances(prev => [...prev, utterance]);
    });

    eventSource.addEventListener('phase_transition', (e) => {
      const { phase } = JSON.parse(e.data);
      setCurrentPhase(phase);
    });

    eventSource.addEventListener('complete', (e) => {
      console.log('Debate completed');
      eventSource.close();
    });

    eventSource.onerror = (err) => {
      console.error('SSE error:', err);
      setError('Connection lost. Reconnecting...');
      setIsConnected(false);
      // EventSource auto-reconnects
    };

    return () => {
      eventSource.close();
    };
  }, [debateId]);

  return { utterances, currentPhase, isConnected, error };
}
