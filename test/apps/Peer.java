// SPDX-License-Identifier: MPL-2.0
// Java RMI: "server" waits on port 1099; "client SERVER" hands it an object of its own, which the server calls back by the address
// that Java put into the reference. Neither configures an address.
import java.rmi.Remote;
import java.rmi.RemoteException;
import java.rmi.registry.LocateRegistry;
import java.rmi.server.UnicastRemoteObject;

public class Peer {
	public interface Called extends Remote {
		String hello(String from) throws RemoteException;
	}

	public interface Service extends Remote {
		String callBack(Called object) throws RemoteException;
	}

	static class Server extends UnicastRemoteObject implements Service {
		Server() throws RemoteException {
			super(1098);
		}

		public String callBack(Called object) throws RemoteException {
			return object.hello("server");
		}
	}

	static class Client extends UnicastRemoteObject implements Called {
		Client() throws RemoteException {
			super(7020);
		}

		public String hello(String from) {
			return "called back by " + from;
		}
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("server")) {
			LocateRegistry.createRegistry(1099).rebind("service", new Server());
			return;
		}
		Service service = (Service)LocateRegistry.getRegistry(args[1]).lookup("service");
		System.out.println(service.callBack(new Client()));
		System.exit(0);
	}
}
