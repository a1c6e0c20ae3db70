"""Filters of a waveform whose power is what librosa's mel filters hear of it."""

from functools import cache

import numpy as np

from dellm_jax.senses.hearing import mel_filterbank

DENSE = 16  # points of the spectrum between two bins of the Fourier transform


@cache
def mel_quadrature(rate: int, kernel: int, filters: int) -> np.ndarray:
    """Pairs of filters in quadrature [kernel, 2, filters], each pair of energy 1.

    |H_m(f)|^2 = sum_k M_mk |W(f - f_k)|^2, what band m of a Hann-windowed spectrogram hears of a tone at f, up to a
    gain and to what is cut off beyond `kernel` samples; h_m is the inverse transform of H_m >= 0 over positive f.
    """
    mel = mel_filterbank(rate, kernel, filters).astype(np.float64)
    size = kernel * DENSE
    window = np.abs(np.fft.fft(np.hanning(kernel + 1)[:-1], size)) ** 2
    places, bins = np.arange(size // 2 + 1), DENSE * np.arange(mel.shape[1])
    response = np.zeros((filters, size))
    response[:, places] = np.sqrt(mel @ window[(places - bins[:, None]) % size])
    wave = np.roll(np.fft.ifft(response), kernel // 2, axis=1)[:, :kernel]
    energy = np.maximum((np.abs(wave) ** 2).sum(1, keepdims=True), 1e-12)
    wave = (wave / np.sqrt(energy)).T
    return np.stack([wave.real, wave.imag], axis=1).astype(np.float32)
