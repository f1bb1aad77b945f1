# SPDX-License-Identifier: MPL-2.0
"""mpi.py RANK: a job of two. The one of that rank sends first, so it is the one that opens the connection; the other answers."""
import sys
from mpi4py import MPI

world = MPI.COMM_WORLD
first = int(sys.argv[1])
rank = world.Get_rank()
buf = bytearray(b"there" if rank == first else b"-----")
if rank == first:
	world.Send([buf, MPI.BYTE], 1 - rank)
	world.Recv([buf, MPI.BYTE], 1 - rank)
else:
	world.Recv([buf, MPI.BYTE], first)
	world.Send([b"back-", MPI.BYTE], first)
print(f"rank {rank} of {world.Get_size()} on {MPI.Get_processor_name()} got {buf.decode()}", flush=True)
