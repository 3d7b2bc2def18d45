"""What PEFT makes of a weight, by its formulas written out in numpy: an oracle for fits, by `peft_type`.

Each function takes the tensors of a file, the configuration and the base weight W (m, n), and returns the new
weight.
"""

import numpy as np


def tuned(tensors, config, W):
    return FORMULAS[config["peft_type"]](tensors, config, W)


def lora(t, c, W):
    A, B = t["lora_A.weight"], t["lora_B.weight"]
    scale = c["lora_alpha"] / (np.sqrt(c["r"]) if c["use_rslora"] else c["r"])
    if c.get("use_bdlora"):
        k = c["use_bdlora"]["nblocks"]
        A, B = (
            whole(f, k) if c["use_bdlora"][f"target_modules_bd_{side}"] else f
            for f, side in ((A, "a"), (B, "b"))
        )
    if c.get("kasa_config"):
        u, s, vt = np.linalg.svd(W, full_matrices=False)
        kept = len(s) - c["r"]
        return (u[:, :kept] * s[:kept]) @ vt[:kept] + scale * B @ np.diag(t["lora_diag"]) @ A
    V = W + scale * B @ A
    if c["use_dora"]:
        return (t["lora_magnitude_vector"] / np.linalg.norm(V, axis=1))[:, None] * V
    return V


def whole(factor, k):
    """Return a block-diagonal factor with its zeros: k blocks one below the other become a diagonal."""
    rows, cols = factor.shape
    out = np.zeros((rows, cols * k))
    for b in range(k):
        out[b * rows // k : (b + 1) * rows // k, b * cols : (b + 1) * cols] = factor[
            b * rows // k : (b + 1) * rows // k
        ]
    return out


def adalora(t, c, W):
    return W + t["lora_B"] @ (t["lora_A"] * t["lora_E"]) * c["lora_alpha"] / (c["init_r"] + 1e-5)


def delora(t, c, W):
    A, B = t["delora_A"], t["delora_B"]
    lengths = np.linalg.norm(A, axis=1).clip(1e-4) * np.linalg.norm(B, axis=0).clip(1e-4)
    return W + B @ np.diag(t["delora_lambda"] / c["r"] / lengths) @ A * t["delora_w_norm"]


def deft(t, c, W):
    P = t["deft_P"]
    if c["para"]:
        Q = np.linalg.qr(P)[0]
        return W - Q @ Q.T @ W
    scale = c["alpha"] / c["r"] if c["alpha"] else 1
    return W - P @ np.maximum(P, 0).T @ W + scale * P @ t["deft_R"]


def gralora(t, c, W):
    A, B, k, scale = t["gralora_A"], t["gralora_B"], c["gralora_k"], c["alpha"] / c["r"]
    s, (p, q) = c["r"] // k, (W.shape[0] // k, W.shape[1] // k)
    out = W.copy()
    for j in range(k):
        for i in range(k):
            block = B[j, i * s : (i + 1) * s].T @ A[i, :, j * s : (j + 1) * s].T
            out[j * p : (j + 1) * p, i * q : (i + 1) * q] += scale * block
    return out


def osf(t, c, W):
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    k = c["effective_rank"]
    u_low, s_low, v_low = (t[f"osf_svd_params.{name}_low"] for name in "USV")
    return (u[:, :k] * s[:k]) @ vt[:k] + u_low @ np.diag(s_low) @ v_low


def ia3(t, c, W):
    return W * t["ia3_l"]


def glora(t, c, W):
    return W + W * t["glora_A.X"] + t["glora_B.X"]


def road(t, c, W):
    g, variant = c["group_size"], c["variant"]
    theta, alpha = t["road_theta"], t["road_alpha"]
    out = np.empty_like(W)
    for group in range(len(W) // g):
        for k in range(g // 2):
            p, q = group * g + k, group * g + k + g // 2
            if variant == "road_1":
                first = second = group * g // 2 + k, group * g // 2 + k
            elif variant == "road_2":
                first, second = (p, p), (q, q)
            else:
                first = 2 * group * g + k, 2 * group * g + g + k
                second = first[0] + g // 2, first[1] + g // 2
            (ap, bp), (aq, bq) = (
                (alpha[x] * np.cos(theta[x]), alpha[y] * np.sin(theta[y])) for x, y in (first, second)
            )
            out[p], out[q] = ap * W[p] - bp * W[q], aq * W[q] + bq * W[p]
    return out


def places(c, W):
    """Return the places of the coefficients, as a Fisher-Yates shuffle by 32-bit draws gives them."""
    rng, order = np.random.MT19937(), np.arange(W.size)
    rng.state = np.random.RandomState(c["random_loc_seed"]).get_state(legacy=False)
    for k, draw in enumerate(rng.random_raw(W.size - 1).tolist()):
        other = k + draw % (W.size - k)
        order[k], order[other] = order[other], order[k]
    return np.divmod(order[: c["n_frequency"]], W.shape[1])


def fourierft(t, c, W):
    E = np.zeros(W.shape)
    E[places(c, W)] = t["fourierft_spectrum"]
    return W + np.fft.ifft2(E).real * c["scaling"]


def waveft(t, c, W):
    E, out = np.zeros(W.shape), np.zeros(W.shape)
    E[places(c, W)] = t["waveft_spectrum"]
    h, w = W.shape[0] // 2, W.shape[1] // 2
    signs = np.array([[1, 1], [1, -1]])
    for low_high_rows in range(2):
        for low_high_cols in range(2):
            band = E[low_high_cols * h :, low_high_rows * w :][:h, :w]  # rows and columns exchanged
            atom = np.outer(signs[low_high_rows], signs[low_high_cols]) / 2
            out += np.kron(band, atom)
    return W + out * c["scaling"]


def vera(t, c, W):
    A, B = t["base_model.vera_A"], t["base_model.vera_B"]
    return W + np.diag(t["vera_lambda_b"]) @ B @ np.diag(t["vera_lambda_d"]) @ A


def randlora(t, c, W):
    A, B = t["base_model.randlora_A"], t["base_model.randlora_B"]
    lam, gam = t["randlora_lambda"], t["randlora_gamma"]
    rows = [lam[k, b] * A[k, 0] * gam[b] for k in range(lam.shape[0]) for b in range(lam.shape[1])]
    product = B.reshape(len(B), -1) @ np.array(rows)
    return W + c["randlora_alpha"] / c["r"] * (product if W.shape[0] >= W.shape[1] else product.T)


def cayley(S):
    return (np.eye(len(S)) - S) @ np.linalg.inv(np.eye(len(S)) + S)


def turned(W, rotations, b):
    out = W.copy()
    for k in range(W.shape[1] // b):
        out[:, k * b : (k + 1) * b] = W[:, k * b : (k + 1) * b] @ rotations[k % len(rotations)].T
    return out


def oft(t, c, W):
    b, rotations = c["oft_block_size"], []
    for angles in t["oft_R.weight"]:
        S, upper = np.zeros((b, b)), iter(angles)
        for i in range(b):
            for j in range(i + 1, b):
                S[i, j] = next(upper)
        rotations.append(cayley(S - S.T))
    return turned(W, rotations, b)


def boft(t, c, W):
    rotations = [cayley((R - R.T) / 2) for R in t["boft_R"][0]]
    return turned(W, rotations, c["boft_block_size"]) * t["boft_s"]


def hra(t, c, W):
    for u in np.linalg.qr(t["hra_u"])[0].T:
        W = W - 2 * np.outer(W @ u, u)
    return W


def miss(t, c, W):
    M, r = t["miss_block"], c["r"]
    out = W.copy()
    if c["init_weights"] == "bat":
        for a in range(W.shape[0] // r):
            for b in range(W.shape[1] // r):
                part = slice(a * r, (a + 1) * r), slice(b * r, (b + 1) * r)
                out[part] += (W[part] + np.eye(r)) @ M[a]
        return out
    for o in range(W.shape[0]):
        for i in range(W.shape[1]):
            out[o, i] += M[i % r, o % M.shape[1]]
    return out


def c3a(t, c, W):
    w, b = t["c3a_kernel"], c["block_size"]
    out = W.copy()
    for o in range(W.shape[0]):
        for i in range(W.shape[1]):
            out[o, i] += w[o // b, i // b, (i - o) % b] / W.shape[1]
    return out


def shira(t, c, W):
    out = W.copy()
    for (i, j), value in zip(t["shira_indices"].T, t["shira_weight"], strict=True):
        out[i, j] += value
    return out


def lokr(t, c, W):
    return W + c["alpha"] / c["r"] * np.kron(t["lokr_w1"], t["lokr_w2"])


def loha(t, c, W):
    product = (t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"])
    return W + c["alpha"] / c["r"] * product


def hira(t, c, W):
    return W + W * (t["hira_B"] @ t["hira_A"])


FORMULAS = {
    name.upper(): formula
    for name, formula in list(globals().items())
    if callable(formula) and name not in ("tuned", "whole", "places", "cayley", "turned")
}
